#include "server/access/access_rules.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

const char kHashOfAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

AccessRules Good(const std::string& json) {
  absl::StatusOr<AccessRules> rules = AccessRules::Parse(json);
  EXPECT_TRUE(rules.ok()) << rules.status();
  return rules.ok() ? *std::move(rules) : AccessRules();
}

std::string FaultsOf(const std::string& json) {
  return std::string(AccessRules::Parse(json).status().message());
}

std::string OneCaller(const std::string& more) {
  return absl::StrCat(R"({"callers":[{"name":"shop","token_sha256":[")",
                      kHashOfAbc, R"("])", more, "}]}");
}

TEST(AccessRulesTest, ATokenNamesItsCaller) {
  const AccessRules rules = Good(OneCaller(""));
  ASSERT_NE(rules.FindByToken(HashOf("abc")), nullptr);
  EXPECT_EQ(rules.FindByToken(HashOf("abc"))->name, "shop");
  EXPECT_EQ(rules.FindByToken(HashOf("abd")), nullptr);
}

TEST(AccessRulesTest, ACallerHasSeveralTokensWhileOneIsReplaced) {
  const AccessRules rules = Good(
      absl::StrCat(R"({"callers":[{"name":"shop","token_sha256":[")",
                   kHashOfAbc, R"(",")", ToHex(HashOf("new")), R"("]}]})"));
  EXPECT_EQ(rules.FindByToken(HashOf("abc"))->name, "shop");
  EXPECT_EQ(rules.FindByToken(HashOf("new"))->name, "shop");
}

TEST(AccessRulesTest, ACertificateNamesItsCaller) {
  const AccessRules rules = Good(
      R"({"callers":[{"name":"shop","certificates":["shop.example"]},
          {"name":"crm","certificates":["spiffe://example/crm"]}]})");
  EXPECT_EQ(rules.FindByCertificate("shop.example")->name, "shop");
  EXPECT_EQ(rules.FindByCertificate("spiffe://example/crm")->name, "crm");
  EXPECT_EQ(rules.FindByCertificate("SHOP.example"), nullptr);
}

TEST(AccessRulesTest, ACallerMaySendDataEverywhereUnlessItIsSaidOtherwise) {
  const auto grant = Good(OneCaller("")).callers().front();
  EXPECT_TRUE(grant->data);
  EXPECT_FALSE(grant->admin);
  EXPECT_TRUE(grant->MayUse("anything"));
  EXPECT_EQ(grant->rate, std::nullopt);
}

TEST(AccessRulesTest, ServicesDestinationsAndRateAreWhatIsSaid) {
  const auto grant =
      Good(OneCaller(R"(, "services":["admin"], "destinations":["prod"],
                        "items_per_second": 500, "burst": 2000 /* big */)"))
          .callers()
          .front();
  EXPECT_FALSE(grant->data);
  EXPECT_TRUE(grant->admin);
  EXPECT_TRUE(grant->MayUse("prod"));
  EXPECT_FALSE(grant->MayUse("europe"));
  EXPECT_FALSE(grant->MayUse(""));
  EXPECT_EQ(grant->rate, (CallerRate{.items_per_second = 500, .burst = 2'000}));
}

TEST(AccessRulesTest, WithoutABurstItIsOneSecondsWorthAndAtLeastOneItem) {
  EXPECT_EQ(Good(OneCaller(R"(,"items_per_second":50)"))
                .callers()
                .front()
                ->rate->burst,
            50);
  EXPECT_EQ(Good(OneCaller(R"(,"items_per_second":0.1)"))
                .callers()
                .front()
                ->rate->burst,
            1);
}

TEST(AccessRulesTest, AllFaultsAreReportedTogetherWithTheirPlace) {
  EXPECT_EQ(
      FaultsOf(absl::StrCat(
          R"({"callers":[
               {"name":"Shop","token_sha256":["secret-token"]},
               {"token_sha256":")",
          kHashOfAbc, R"("},
               {"name":"c","services":["data","root"],"destinations":[],
                "certificates":["x"],"burst":5,"colour":"red"},
               {"name":"d","items_per_second":0,"certificates":[""]},
               {"name":"e"},
               7], "more":1})")),
      "callers[0].name: must be 1 to 64 of a-z, 0-9, '_', '.' and '-'\n"
      "callers[0].token_sha256[0]: must be the 64 hexadecimal digits of a "
      "SHA-256, as `heapsync token` prints them; never the token itself\n"
      "callers[1].name: is missing\n"
      "callers[1].token_sha256: must be an array, is string\n"
      "callers[2].destinations: must name at least one; omit it to allow all\n"
      "callers[2].services[1]: must be \"data\" or \"admin\"\n"
      "callers[2].burst: means nothing without items_per_second\n"
      "callers[2].colour: unknown key; known: name, token_sha256, "
      "certificates, destinations, services, items_per_second, burst\n"
      "callers[3].certificates[0]: must be a string that is not empty\n"
      "callers[3].items_per_second: must be above 0 and at most 1e9\n"
      "callers[4]: needs token_sha256 or certificates\n"
      "callers[5]: must be an object, is number\n"
      "more: unknown key; known: callers");
}

TEST(AccessRulesTest, WhatNamesTwoCallersIsAFaultAndNoHashIsShown) {
  EXPECT_EQ(FaultsOf(absl::StrCat(
                R"({"callers":[
                     {"name":"a","token_sha256":[")",
                kHashOfAbc, R"("],"certificates":["x"]},
                     {"name":"a","token_sha256":[")",
                kHashOfAbc, R"("],"certificates":["x"]}]})")),
            "callers[1].name: is also used at callers[0]\n"
            "callers[1].token_sha256[0]: is also used at "
            "callers[0].token_sha256[0]\n"
            "callers[1].certificates[0]: is also used at "
            "callers[0].certificates[0]");
}

TEST(AccessRulesTest, AFileWithoutCallersIsAFaultAndOneWithNoneIsNot) {
  EXPECT_EQ(FaultsOf("{}"), "callers: is missing");
  EXPECT_EQ(FaultsOf("[]"), "the file: must be an object, is array");
  EXPECT_TRUE(Good(R"({"callers":[]})").callers().empty());
}

TEST(AccessRulesTest, ASyntaxFaultHasItsLine) {
  EXPECT_EQ(FaultsOf("{\n  \"callers\": [,]}").substr(0, 18),
            "line 2, column 15:");
}

}  // namespace
}  // namespace heapsync
