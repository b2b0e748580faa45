#include "tests/fake_heap/fault_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heapsync::fake_heap {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

FaultFacts Request(absl::string_view body = "{}") {
  return {Region::kUs, "/api/track", "1", body, 1};
}

FaultScript Parse(absl::string_view text) {
  auto script = FaultScript::Parse(text);
  EXPECT_TRUE(script.ok()) << script.status();
  return *std::move(script);
}

// The script's faults for the next requests: '!' for a fault.
std::string Play(FaultScript& script, int requests) {
  std::string struck;
  for (int i = 0; i < requests; ++i) {
    struck += script.Decide(FaultScript::Moment::kBody, Request()) ? '!' : '.';
  }
  return struck;
}

TEST(FaultScript, StrikesEveryThirdRequest) {
  FaultScript script =
      Parse(R"({"rules":[{"every":3,"action":{"type":"hang"}}]})");
  EXPECT_EQ(Play(script, 9), "..!..!..!");
}

TEST(FaultScript, StrikesTheFirstTwoRequests) {
  FaultScript script =
      Parse(R"({"rules":[{"first":2,"action":{"type":"hang"}}]})");
  EXPECT_EQ(Play(script, 5), "!!...");
}

TEST(FaultScript, LeavesTheRequestsBeforeAfterAlone) {
  FaultScript script = Parse(
      R"({"rules":[{"after":2,"every":2,"times":2,"action":{"type":"hang"}}]})");
  EXPECT_EQ(Play(script, 10), "...!.!....");
}

TEST(FaultScript, DrawsTheSameLotsForTheSameSeed) {
  const char* text =
      R"({"seed":7,"rules":[{"probability":0.5,"action":{"type":"hang"}}]})";
  FaultScript one = Parse(text);
  FaultScript other = Parse(text);
  const std::string struck = Play(one, 1000);
  EXPECT_EQ(struck, Play(other, 1000));
  const auto count = std::count(struck.begin(), struck.end(), '!');
  EXPECT_GT(count, 400);
  EXPECT_LT(count, 600);
}

TEST(FaultScript, LetsTheFirstRuleThatIsDueDecide) {
  FaultScript script = Parse(R"({"rules":[
      {"first":1,"action":{"type":"status","status":503}},
      {"action":{"type":"status","status":429}}]})");
  EXPECT_EQ(script.Decide(FaultScript::Moment::kBody, Request())->status, 503);
  EXPECT_EQ(script.Decide(FaultScript::Moment::kBody, Request())->status, 429);
  EXPECT_EQ(script.Report()["rules"][1]["matched"], 1);
}

TEST(FaultScript, MatchesByRegionAppPathBodyAndSize) {
  for (const char* match :
       {R"({"region":"eu"})", R"({"app_id":"2"})",
        R"({"path":"/api/add_user_properties"})",
        R"({"body_contains":"poison"})", R"({"min_items":2})"}) {
    FaultScript script = Parse(absl::StrCat(R"({"rules":[{"match":)", match,
                                            R"(,"action":{"type":"hang"}}]})"));
    EXPECT_EQ(Play(script, 1), ".") << match;
    const FaultFacts facts{
        Region::kEu,
        std::string_view(match).find("path") != std::string_view::npos
            ? "/api/add_user_properties"
            : "/api/track",
        "2", "poison", 2};
    EXPECT_TRUE(script.Decide(FaultScript::Moment::kBody, facts)) << match;
  }
}

TEST(FaultScript, ResetsBeforeTheBodyAndNothingElseThen) {
  FaultScript script = Parse(R"({"rules":[
      {"first":1,"action":{"type":"reset_after_body"}},
      {"first":1,"action":{"type":"reset_before_body"}}]})");
  const FaultFacts head{Region::kUs, "/api/track", "", "", 0};
  EXPECT_EQ(script.Decide(FaultScript::Moment::kHeaders, head)->kind,
            Fault::Kind::kResetBeforeBody);
  EXPECT_FALSE(script.Decide(FaultScript::Moment::kHeaders, head));
  EXPECT_EQ(script.Decide(FaultScript::Moment::kBody, Request())->kind,
            Fault::Kind::kResetAfterBody);
}

TEST(FaultScript, KnowsEachFormOfRetryAfter) {
  FaultScript script = Parse(R"({"rules":[
      {"times":1,"action":{"type":"status","status":429,"retry_after":7}},
      {"times":1,"action":{"type":"status","status":429,"retry_after":"soon"}},
      {"action":{"type":"status","status":429,
                 "retry_after":{"date_in":60}}}]})");
  const auto next = [&] {
    return *script.Decide(FaultScript::Moment::kBody, Request());
  };
  EXPECT_THAT(next().headers, ElementsAre(Pair("Retry-After", "7")));
  EXPECT_THAT(next().headers, ElementsAre(Pair("Retry-After", "soon")));
  EXPECT_EQ(next().retry_after_date, std::chrono::seconds(60));
}

TEST(FaultScript, DelaysWithinTheRange) {
  FaultScript script =
      Parse(R"({"rules":[{"action":{"type":"pass","delay_ms":[100,200]}}]})");
  for (int i = 0; i < 100; ++i) {
    const auto fault = script.Decide(FaultScript::Moment::kBody, Request());
    EXPECT_GE(fault->delay, std::chrono::milliseconds(100));
    EXPECT_LE(fault->delay, std::chrono::milliseconds(200));
  }
}

TEST(FaultScript, AppliesARequestResetAfterItsBodyUnlessConfiguredOtherwise) {
  FaultScript script = Parse(R"({"rules":[
      {"times":1,"action":{"type":"reset_after_body"}},
      {"times":1,"action":{"type":"reset_after_body","apply":false}},
      {"times":1,"action":{"type":"status","status":503}},
      {"times":1,"action":{"type":"status","status":503,"apply":true}}]})");
  std::vector<bool> applies;
  while (auto fault = script.Decide(FaultScript::Moment::kBody, Request())) {
    applies.push_back(fault->apply);
  }
  EXPECT_THAT(applies, ElementsAre(true, false, false, true));
}

TEST(FaultScript, AllowsComments) {
  EXPECT_TRUE(FaultScript::Parse("{ // nothing yet\n \"rules\": []}").ok());
}

TEST(FaultScript, RefusesABadScriptWithEveryFault) {
  const auto script = FaultScript::Parse(R"({
      "sed": 1,
      "rules": [
        {"every": 0, "match": {"region": "uk", "hour": 3},
         "action": {"type": "status", "status": 42}},
        {"probability": 1.5},
        {"action": {"type": "explode"}},
        {"action": {"type": "poison"}},
        {"match": {"app_id": "1"}, "action": {"type": "reset_before_body"}},
        {"action": {"type": "hang", "status": 500}},
        {"action": {"type": "pass", "delay_ms": [5, 1]}},
        {"action": {"type": "status", "status": 429, "retry_after": -1,
                    "headers": {"X": "a\nb"}}},
        7
      ]})");
  EXPECT_EQ(script.status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<std::string> faults =
      absl::StrSplit(std::string(script.status().message()), '\n');
  EXPECT_THAT(
      faults,
      UnorderedElementsAre(
          "sed: is not known here",
          "rules[0].every: 0 is not a whole number in [1, 9007199254740992]",
          "rules[0].match.region: \"uk\" is none of us, eu",
          "rules[0].match.hour: is not known here",
          "rules[0].action.status: 42 is not a whole number in [200, 599]",
          "rules[1].probability: 1.5 is not a number in [0, 1]",
          "rules[1].action: is missing", HasSubstr("rules[2].action.type"),
          "rules[3].match.body_contains: is needed to poison an item",
          HasSubstr("rules[4].match"),
          "rules[5].action.status: is not known here",
          HasSubstr("rules[6].action.delay_ms"),
          HasSubstr("rules[7].action.retry_after"),
          HasSubstr("rules[7].action.headers"), "rules[8]: is not an object",
          "rules[8].action: is missing"));
}

TEST(FaultScript, RefusesWhatIsNoScript) {
  EXPECT_EQ(FaultScript::Parse("nonsense").status().message(),
            "the script is not JSON");
  EXPECT_EQ(FaultScript::Parse("{}").status().message(), "rules: is missing");
  EXPECT_EQ(FaultScript::Parse("[]").status().message(),
            "the script: is not an object\nrules: is missing");
}

}  // namespace
}  // namespace heapsync::fake_heap
