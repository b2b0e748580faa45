// What /statusz.json says of a status that was made by hand.

#include <deque>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/observe/status_json.h"
#include "server/observe/status_list.h"
#include "server/observe/status_query.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr Now kStart = {.wall = WallTime(std::chrono::hours(500'000)),
                        .monotonic = MonotonicTime(std::chrono::hours(5))};

DestinationStatus Destination(
    const std::string& name, uint64_t queued = 0,
    DestinationState state = DestinationState::kActive) {
  DestinationStatus status;
  status.snapshot = {.name = name,
                     .region = Region::kUs,
                     .masked_app_id = "…3210",
                     .state = state,
                     .allowance_used = 100,
                     .allowance_total = 15'000};
  for (const ObjectType type : kObjectTypes) {
    status.snapshot.lanes.push_back({.id = 1, .type = type});
    status.oldest_waiting.push_back(std::nullopt);
  }
  status.snapshot.lanes[0].queued_items = queued;
  status.snapshot.lanes[0].counts.appended = 10 * queued;
  return status;
}

class StatusTest : public ::testing::Test {
 protected:
  static StatusQuery Query(absl::string_view text) {
    const auto query = ParseStatusQuery(text);
    EXPECT_TRUE(query.ok()) << query.status();
    return query.value_or(StatusQuery());
  }
  std::vector<std::string> Names(absl::string_view query) const {
    std::vector<std::string> names;
    for (const ListedDestination& each :
         ListDestinations(status_, history_, Query(query)).shown) {
      names.push_back(each.status->snapshot.name);
    }
    return names;
  }
  std::string Text(absl::string_view query) const {
    return StatusJson(status_, history_, "1.2.3", Query(query));
  }
  nlohmann::json Json(absl::string_view query) const {
    return nlohmann::json::parse(Text(query));
  }
  void AddMany(int count) {
    for (int i = 0; i < count; ++i) {
      status_.destinations.push_back(Destination(absl::StrCat("app-", i)));
    }
  }

  ServerStatus status_{.now = kStart,
                       .uptime = Duration::zero(),
                       .spool = {},
                       .taken_at = kStart.monotonic,
                       .destinations = {}};
  FlowHistory history_{kStart};
};

TEST_F(StatusTest, ThoseThatNeedAPersonComeFirst) {
  status_.destinations = {
      Destination("calm"), Destination("paused", 0, DestinationState::kPaused),
      Destination("long", 5'000),
      Destination("wrong", 0, DestinationState::kNeedsAttention),
      Destination("away", 9, DestinationState::kBackingOff)};
  EXPECT_THAT(Names(""),
              ElementsAre("wrong", "away", "paused", "long", "calm"));
  EXPECT_THAT(Names("order=reversed"),
              ElementsAre("calm", "long", "paused", "away", "wrong"));
}

TEST_F(StatusTest, BacklogsOfOneMagnitudeKeepTheOrderOfTheConfiguration) {
  status_.destinations = {Destination("a", 1'001), Destination("b", 1'003),
                          Destination("c", 1'002)};
  EXPECT_THAT(Names(""), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Names("sort=backlog"), ElementsAre("b", "c", "a"));
}

TEST_F(StatusTest, TheListIsSortedAsAsked) {
  status_.destinations = {Destination("b"), Destination("c"), Destination("a")};
  status_.destinations[1].snapshot.allowance_used = 101;
  status_.destinations[2].snapshot.dead_letters.letters = 1;
  EXPECT_THAT(Names("sort=name"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Names("sort=name&order=reversed"), ElementsAre("c", "b", "a"));
  EXPECT_THAT(Names("sort=allowance"), ElementsAre("c", "b", "a"));
  EXPECT_THAT(Names("sort=dead_letters"), ElementsAre("a", "b", "c"));
}

TEST_F(StatusTest, RatesSortByWhatCameAndWent) {
  status_.destinations = {Destination("a", 10), Destination("b", 20)};
  status_.destinations[0].snapshot.lanes[1].counts.delivered = 40;
  status_.taken_at = kStart.monotonic + std::chrono::seconds(5);
  EXPECT_THAT(Names("sort=in"), ElementsAre("b", "a"));
  EXPECT_THAT(Names("sort=out"), ElementsAre("a", "b"));
  const nlohmann::json status = Json("sort=in");
  EXPECT_EQ(status["destinations"][0]["in_per_second"], 40);
  EXPECT_EQ(status["totals"]["in_per_second"], 60);
  EXPECT_EQ(status["totals"]["out_per_second"], 8);
}

TEST_F(StatusTest, SearchFindsNamesRegionsAndEndsOfAppIds) {
  status_.destinations = {Destination("Web-Shop"), Destination("crm"),
                          Destination("other")};
  status_.destinations[1].snapshot.masked_app_id = "…4711";
  status_.destinations[2].snapshot.region = Region::kEu;
  EXPECT_THAT(Names("search=web-SHOP"), ElementsAre("Web-Shop"));
  EXPECT_THAT(Names("search=%20b-s+"), ElementsAre("Web-Shop"));
  EXPECT_THAT(Names("search=4711"), ElementsAre("crm"));
  EXPECT_THAT(Names("search=eu"), ElementsAre("other"));
  EXPECT_THAT(Names("search=%00"), IsEmpty());
}

TEST_F(StatusTest, OneStateIsShownAloneAndTheTotalsAreOfAll) {
  status_.destinations = {Destination("a", 3),
                          Destination("b", 4, DestinationState::kPaused)};
  const nlohmann::json status = Json("state=paused");
  EXPECT_EQ(status["matching"], 1);
  EXPECT_EQ(status["destinations_total"], 2);
  EXPECT_EQ(status["destinations"][0]["name"], "b");
  EXPECT_EQ(status["totals"]["states"]["active"], 1);
  EXPECT_EQ(status["totals"]["states"]["paused"], 1);
  EXPECT_EQ(status["totals"]["queued_items"], 7);
  EXPECT_EQ(status["totals"]["accepted"], 70);
}

TEST_F(StatusTest, PagesCoverEachDestinationOnce) {
  AddMany(60);
  std::vector<std::string> all;
  for (const char* page : {"1", "2", "3"}) {
    for (const std::string& name :
         Names(absl::StrCat("per_page=25&page=", page))) {
      all.push_back(name);
    }
  }
  EXPECT_EQ(all, Names("per_page=1000"));
  const nlohmann::json last = Json("per_page=25&page=9");
  EXPECT_EQ(last["page"], 3);
  EXPECT_EQ(last["pages"], 3);
  EXPECT_THAT(last["destinations"], SizeIs(10));
}

TEST_F(StatusTest, TenThousandDestinationsMakeNoLargerAnswerThanAPage) {
  AddMany(10'000);
  std::vector<DestinationFlow> flows;
  std::deque<heapsync::Destination> named;
  for (const DestinationStatus& each : status_.destinations) {
    named.push_back(
        {.name = each.snapshot.name, .app_id = *AppId::Parse("1234567")});
    flows.push_back({&named.back(), 0, 0, 0, 1, 15'000});
  }
  Now now = kStart;
  for (uint64_t i = 1; i <= FlowHistory::kPoints; ++i) {
    now.wall += FlowHistory::kStep;
    now.monotonic += FlowHistory::kStep;
    for (DestinationFlow& flow : flows) {
      flow.accepted += 1'234'567;
      flow.delivered += 1'234'567;
      flow.queued_items = 1'234'567;
    }
    history_.Add({.taken_at = now, .destinations = flows});
  }
  EXPECT_LT(Text("").size(), 250'000);
  EXPECT_LT(Text("detail=brief&per_page=25").size(), 25'000);
  EXPECT_LT(Text("detail=brief&per_page=25&history=minutes").size(), 100'000);
}

TEST_F(StatusTest, OnlyOpenDestinationsHaveDetailsWhenItIsBrief) {
  AddMany(2);
  const nlohmann::json status = Json("detail=brief&open=app-1");
  EXPECT_FALSE(status["destinations"][0].contains("types"));
  EXPECT_FALSE(status["destinations"][0]["dead_letters"].contains("by_reason"));
  EXPECT_THAT(status["destinations"][1]["types"], SizeIs(3));
  EXPECT_TRUE(status["destinations"][1]["dead_letters"].contains("by_reason"));
}

TEST_F(StatusTest, DeadLettersAreGroupedByReason) {
  status_.destinations = {Destination("a"), Destination("b")};
  for (DestinationStatus& each : status_.destinations) {
    DeadLetterTotals& letters = each.snapshot.dead_letters;
    letters.letters = 3;
    letters.bytes = 100;
    letters.by_reason[static_cast<size_t>(DeadLetterReason::kRefused)] = 2;
    letters.by_reason[static_cast<size_t>(DeadLetterReason::kExpired)] = 1;
    each.snapshot.lanes[0].counts.dead_lettered_for[1] = 5;
  }
  const nlohmann::json status = Json("");
  const nlohmann::json letters = status["totals"]["dead_letters"];
  EXPECT_EQ(letters["kept"], 6);
  EXPECT_EQ(letters["bytes"], 200);
  EXPECT_EQ(letters["by_reason"]["refused"]["kept"], 4);
  EXPECT_EQ(letters["by_reason"]["refused"]["since_start"], 10);
  EXPECT_EQ(letters["by_reason"]["expired"]["kept"], 2);
  EXPECT_EQ(letters["by_reason"]["damaged"]["kept"], 0);
  EXPECT_EQ(
      status["destinations"][1]["dead_letters"]["by_reason"]["expired"]["kept"],
      1);
}

TEST_F(StatusTest, TheFullestAllowanceIsNamed) {
  EXPECT_EQ(Json("")["totals"]["fullest_allowance"], nullptr);
  status_.destinations = {Destination("a"), Destination("b"), Destination("c")};
  status_.destinations[0].snapshot.allowance_total = 0;
  status_.destinations[2].snapshot.allowance_used = 7'500;
  const nlohmann::json fullest = Json("")["totals"]["fullest_allowance"];
  EXPECT_EQ(fullest["destination"], "c");
  EXPECT_EQ(fullest["used"], 7'500);
  EXPECT_EQ(fullest["limit"], 15'000);
}

TEST_F(StatusTest, ChartsComeOnlyWhenTheyAreAskedFor) {
  AddMany(2);
  const heapsync::Destination named{.name = "app-1",
                                    .app_id = *AppId::Parse("1234567")};
  status_.now.monotonic += FlowHistory::kStep + std::chrono::seconds(2);
  history_.Add(
      {.taken_at = {.wall = kStart.wall + FlowHistory::kStep,
                    .monotonic = kStart.monotonic + FlowHistory::kStep},
       .destinations = {{&named, 20, 10, 10, 0, 0}}});
  EXPECT_FALSE(Json("").contains("history"));
  const nlohmann::json status = Json("history=minutes");
  const nlohmann::json history = status["history"];
  EXPECT_EQ(history["step_seconds"], 10);
  EXPECT_EQ(history["ended_seconds_ago"], 2);
  EXPECT_THAT(history["accepted"], ElementsAre(20));
  EXPECT_THAT(history["allowance_percent"], ElementsAre(nullptr));
  EXPECT_FALSE(status["destinations"][0].contains("history"));
  EXPECT_THAT(status["destinations"][1]["history"]["delivered"],
              ElementsAre(10));
  EXPECT_EQ(Json("history=hours")["history"]["step_seconds"], 240);
}

TEST_F(StatusTest, FaultyQuestionsAreRefusedWithoutRepeatingThem) {
  for (const char* query :
       {"page=0", "page=-1", "page=secret", "page=9999999999999999999",
        "per_page=1001", "per_page=0", "sort=secret", "order=secret",
        "state=secret", "detail=secret", "history=secret", "secret=1",
        "search=%", "search=%4", "search=%zz", "max=1"}) {
    const auto parsed = ParseStatusQuery(query);
    EXPECT_FALSE(parsed.ok()) << query;
    EXPECT_THAT(std::string(parsed.status().message()),
                Not(HasSubstr("secret")));
  }
  std::string open;
  for (size_t i = 0; i < StatusQuery::kMaxOpen; ++i) open += "&open=a";
  EXPECT_TRUE(ParseStatusQuery(open).ok());
  EXPECT_FALSE(ParseStatusQuery(open + "&open=a").ok());
}

}  // namespace
}  // namespace heapsync
