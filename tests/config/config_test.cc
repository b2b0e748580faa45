#include "heap_adapter/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace heapsync {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

DestinationConfig Good(absl::string_view json) {
  absl::StatusOr<DestinationConfig> config = ParseDestinationConfig(json);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *std::move(config) : DestinationConfig{};
}

std::vector<std::string> Faults(absl::string_view json) {
  const absl::StatusOr<DestinationConfig> config = ParseDestinationConfig(json);
  if (config.ok()) return {};
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(config.status().message(), '\n');
}

// One destination whose object also holds `more`.
std::string OneWith(absl::string_view more) {
  return absl::StrCat(
      R"({"destinations": [{"name": "prod", "app_id": "1234567890", )", more,
      "}]}");
}

TEST(Config, ReadsEverySetting) {
  const DestinationConfig config = Good(R"(
    // Comments are welcome.
    {"destinations": [
      {"name": "prod", "app_id": "1234567890", "region": "eu",
       "limit_share": 0.5, "flatten_nested": true, /* here, too */
       "denied_identities": ["Nobody"], "allowed_identities": ["Test"],
       "limits": {"events_per_minute": 100,
                  "events_per_identity_per_minute": 10,
                  "user_requests_per_identity_per_30s": 0},
       "batch": {"max_items": 10, "max_bytes": 2048, "max_wait": "2s"},
       "max_queued_mib": 77},
      {"name": "0-test_2", "app_id": "99"}],
     "default_destination": "0-test_2"})");
  ASSERT_THAT(config.destinations, SizeIs(2));
  EXPECT_EQ(config.default_destination, "0-test_2");

  const Destination& prod = config.destinations[0];
  EXPECT_EQ(prod.name, "prod");
  EXPECT_EQ(prod.app_id.digits(), "1234567890");
  EXPECT_EQ(prod.region, Region::kEu);
  EXPECT_EQ(prod.limit_share, 0.5);
  EXPECT_TRUE(prod.encoding.flatten_nested);
  EXPECT_EQ(prod.limits.events_per_minute, 100u);
  EXPECT_EQ(prod.limits.events_per_identity_per_minute, 10u);
  EXPECT_EQ(prod.limits.user_requests_per_identity_per_30s, 0u);
  EXPECT_EQ(prod.batch.max_items, 10u);
  EXPECT_EQ(prod.batch.max_bytes, 2048u);
  EXPECT_EQ(prod.batch.max_wait, std::chrono::seconds(2));
  EXPECT_EQ(prod.max_queued_mib, 77u);

  EXPECT_THAT(prod.encoding.denied_identities, ElementsAre("nobody"));
  EXPECT_THAT(prod.encoding.allowed_identities, ElementsAre("test"));
}

TEST(Config, LeavesWhatIsNotSaidAtItsDefault) {
  const DestinationConfig config =
      Good(R"({"destinations": [{"name": "prod", "app_id": "1"}]})");
  ASSERT_THAT(config.destinations, SizeIs(1));
  const Destination& prod = config.destinations[0];
  EXPECT_EQ(prod.region, Region::kUs);
  EXPECT_EQ(prod.limit_share, 1.0);
  EXPECT_FALSE(prod.encoding.flatten_nested);
  EXPECT_EQ(prod.encoding, EncodingRules());
  EXPECT_EQ(prod.limits.events_per_minute, 15'000u);
  EXPECT_EQ(prod.batch.max_items, 1'000u);
  EXPECT_EQ(prod.batch.max_bytes, 1u << 20);
  EXPECT_EQ(prod.batch.max_wait, std::chrono::milliseconds(500));
  EXPECT_EQ(prod.max_queued_mib, 10'240u);
}

TEST(Config, MakesTheOnlyDestinationTheDefault) {
  EXPECT_EQ(Good(OneWith("\"region\": \"us\"")).default_destination, "prod");
}

TEST(Config, HasNoDefaultAmongSeveralUnlessOneIsNamed) {
  EXPECT_EQ(Good(R"({"destinations": [{"name": "a", "app_id": "1"},
                                      {"name": "b", "app_id": "2"}]})")
                .default_destination,
            "");
}

TEST(Config, ListsAllFaultsOfAFileAtOnce) {
  EXPECT_THAT(
      Faults(R"({"destinations": [
        {"name": "Prod!", "app_id": "12 34", "region": "asia", "color": 1},
        {"app_id": 5, "limit_share": 0, "batch": {"max_wait": "soon"}},
        {"name": "c", "app_id": "3", "name": "c"},
        {"name": "c", "app_id": "4", "limits": {"events_per_minute": -1}},
        "d"],
       "default_destination": "z", "extra": {}})"),
      ElementsAre(
          "destinations[2].name: stands here more than once",
          "destinations[0].name: must be 1 to 64 of a-z, 0-9, _ and -, "
          "starting with a letter or digit",
          StartsWith("destinations[0].app_id: an App ID is 1 to 20 decimal "
                     "digits"),
          "destinations[0].region: must be \"us\" or \"eu\"",
          StartsWith("destinations[0].color: unknown key; known: name, app_id"),
          "destinations[1].name: is missing",
          "destinations[1].app_id: must be a string in quotes, is number",
          "destinations[1].limit_share: must be above 0 and at most 1",
          "destinations[1].batch.max_wait: must be a duration such as "
          "\"500ms\", \"2s\" or \"1m\", from 0s to 1h",
          "destinations[3].limits.events_per_minute: must be a whole number "
          "from 0 to 4294967295",
          "destinations[3].name: is the name of destinations[2], too",
          "destinations[4]: must be an object, is string",
          "default_destination: must be the name of one of the destinations",
          "extra: unknown key; known: destinations, default_destination"));
}

TEST(Config, NeedsADestination) {
  for (const char* json : {"{}", R"({"destinations": []})"}) {
    EXPECT_THAT(
        Faults(json),
        ElementsAre("destinations: must name at least one destination"));
  }
  EXPECT_THAT(Faults(R"({"destinations": {}})"),
              ElementsAre("destinations: must be an array, is object"));
  EXPECT_THAT(Faults("[]"),
              ElementsAre("the file: must be an object, is array"));
}

TEST(Config, LocatesASyntaxFaultByLineAndColumn) {
  EXPECT_THAT(Faults("{\n  \"destinations\": [\n    {,}\n  ]\n}"),
              ElementsAre(StartsWith("line 3, column 6: syntax error while "
                                     "parsing object key - unexpected ','")));
  EXPECT_THAT(Faults(""), ElementsAre(StartsWith("line 1, column 1: ")));
  EXPECT_THAT(Faults("{}\n}"), ElementsAre(StartsWith("line 2, column 1: ")));
  EXPECT_THAT(Faults("{\"a\": \"\xff\"}"),
              ElementsAre(StartsWith("line 1, column 8: ")));
  EXPECT_THAT(Faults("{\"a\": 1e999}"),
              ElementsAre(StartsWith("line 1, column ")));
  EXPECT_THAT(Faults("{\"a\": 1"), ElementsAre(StartsWith("line 1, column 8")));
}

TEST(Config, FindsRepeatedKeysAtEveryDepth) {
  EXPECT_THAT(
      Faults(R"({"destinations": [
        {"name": "a", "app_id": "1", "limits": {"events_per_minute": 1,
                                                "events_per_minute": 2}},
        {"name": "b", "app_id": "2", "app_id": "3"}],
       "default_destination": "a", "default_destination": "b"})"),
      ElementsAre("destinations[0].limits.events_per_minute: stands here more "
                  "than once",
                  "destinations[1].app_id: stands here more than once",
                  "default_destination: stands here more than once"));
}

TEST(Config, RefusesValuesOutOfTheirRanges) {
  for (const char* more : {R"("limit_share": 0)",
                           R"("limit_share": -0.5)",
                           R"("limit_share": 1.01)",
                           R"("limit_share": "1")",
                           R"("flatten_nested": 1)",
                           R"("flatten_nested": null)",
                           R"("denied_identities": "x")",
                           R"("denied_identities": [1])",
                           R"("denied_identities": [""])",
                           R"("denied_identities": [" "])",
                           R"("allowed_identities": ["\u200b"])",
                           R"("allowed_identities": [null])",
                           R"("region": "US")",
                           R"("region": "")",
                           R"("region": null)",
                           R"("limits": [])",
                           R"("limits": null)",
                           R"("limits": {"events_per_minute": 1.5})",
                           R"("limits": {"events_per_minute": 4294967296})",
                           R"("limits": {"events_per_minute": "100"})",
                           R"("limits": {"events_per_hour": 1})",
                           R"("batch": 5)",
                           R"("batch": {"max_items": 0})",
                           R"("batch": {"max_items": 1001})",
                           R"("batch": {"max_bytes": 1023})",
                           R"("batch": {"max_bytes": 16777217})",
                           R"("batch": {"max_wait": 500})",
                           R"("batch": {"max_wait": "500"})",
                           R"("batch": {"max_wait": "-1s"})",
                           R"("batch": {"max_wait": "61m"})",
                           R"("batch": {"max_age": "1m"})"}) {
    EXPECT_THAT(Faults(OneWith(more)), SizeIs(1)) << more;
  }
}

TEST(Config, TakesTheEndsOfTheRanges) {
  for (const char* more :
       {R"("limit_share": 1)", R"("limit_share": 1e-6)",
        R"("limits": {"events_per_minute": 4294967295})",
        R"("batch": {"max_items": 1, "max_bytes": 1024, "max_wait": "0ms"})",
        R"("batch": {"max_items": 1000, "max_bytes": 16777216,
                     "max_wait": "1h"})"}) {
    EXPECT_THAT(Faults(OneWith(more)), SizeIs(0)) << more;
  }
}

TEST(Config, RefusesNamesThatCouldNotStandInAPathOrMetric) {
  for (const std::string& name :
       {std::string(), std::string("-a"), std::string("_a"), std::string("A"),
        std::string("a b"), std::string("a.b"), std::string("ä"),
        std::string(65, 'a')}) {
    EXPECT_THAT(Faults(absl::StrCat(R"({"destinations": [{"name": ")", name,
                                    R"(", "app_id": "1"}]})")),
                ElementsAre(StartsWith("destinations[0].name: must be")))
        << name;
  }
}

TEST(Config, RefusesToAllowWhatItDenies) {
  EXPECT_THAT(Faults(OneWith(R"("denied_identities": ["Bob"],
                                "allowed_identities": ["<bob>"])")),
              ElementsAre("destinations[0].allowed_identities: must not allow "
                          "what denied_identities denies"));
}

TEST(Config, LetsDestinationsShareAnAppIdWithinItsLimits) {
  constexpr char kTwo[] = R"({"destinations": [
      {"name": "a", "app_id": "1", "limit_share": 0.9},
      {"name": "b", "app_id": "1", "limit_share": SHARE, "region": "REGION"}]})";
  const auto faults = [&](const char* share, const char* region) {
    return Faults(
        absl::StrReplaceAll(kTwo, {{"SHARE", share}, {"REGION", region}}));
  };
  EXPECT_THAT(faults("0.1", "us"), SizeIs(0));
  EXPECT_THAT(faults("1", "eu"), SizeIs(0));
  EXPECT_THAT(faults("0.2", "us"),
              ElementsAre(StartsWith("destinations[1].app_id: is that of "
                                     "destinations[0], too; give each")));
}

class AppIdInTheWrongPlace : public ::testing::TestWithParam<const char*> {};

TEST_P(AppIdInTheWrongPlace, IsNotShown) {
  const absl::StatusOr<DestinationConfig> config =
      ParseDestinationConfig(GetParam());
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(std::string(config.status().message()), Not(HasSubstr("98765")));
}

INSTANTIATE_TEST_SUITE_P(
    Files, AppIdInTheWrongPlace,
    ::testing::Values(
        R"({"destinations": [{"name": "a", "app_id": "98765x"}]})",
        R"({"destinations": [{"name": "a", "app_id": 9876543210}]})",
        R"({"destinations": [{"name": "9876543210 ", "app_id": "1"}]})",
        R"({"destinations": [{"name": "a", "9876543210": "app_id"}]})",
        R"({"destinations": [{"name": "a", "9876543210": {"b": 1, "b": 2}}]})",
        R"({"destinations": [{"name": "a", "app_id": "1",
            "region": "9876543210"}]})",
        R"({"destinations": [{"name": "a", "app_id": "1"}],
            "default_destination": "9876543210"})",
        R"({"destinations": [{"name": "a", "app_id": "9876543210)",
        R"({"destinations": [{"name": "a", "app_id": 9876543210x}]})",
        R"({"destinations": [{"name": "a", "app_id": 9876543210e999}]})",
        R"({"destinations": [{"name": "a", "app_id": "9876543210\q"}]})",
        R"({"destinations": [{"name": "a" "9876543210"}]})", R"("9876543210")",
        "9876543210 x"));

TEST(Config, StopsAtDeepNesting) {
  EXPECT_THAT(Faults(absl::StrCat("{\"a\": ", std::string(200'000, '['))),
              ElementsAre(AllOf(StartsWith("a[0]"),
                                EndsWith(": nests deeper than any setting"))));
}

}  // namespace
}  // namespace heapsync
