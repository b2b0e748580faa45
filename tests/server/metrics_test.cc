// What a scrape says of a status that was made by hand.

#include "server/observe/metrics.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/observe/dispatcher_metrics.h"
#include "tests/server/scrape.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr WallTime kNow = WallTime(std::chrono::hours(500'000));

DestinationStatus Destination(
    const std::string& name,
    DestinationState state = DestinationState::kActive) {
  DestinationStatus status;
  status.snapshot = {.name = name,
                     .region = Region::kUs,
                     .masked_app_id = "…3210",
                     .state = state,
                     .in_flight_requests = 1,
                     .concurrency_limit = 8,
                     .allowance_used = 100,
                     .allowance_total = 15'000,
                     .limit_holds_events = false};
  for (const ObjectType type : kObjectTypes) {
    LaneSnapshot lane{.id = 1, .type = type, .queued_items = 3};
    lane.counts.appended = 10;
    lane.counts
        .dead_lettered_for[static_cast<size_t>(DeadLetterReason::kExpired)] = 2;
    status.snapshot.lanes.push_back(lane);
    status.oldest_waiting.push_back(std::nullopt);
  }
  return status;
}

ServerStatus StatusOf(std::vector<DestinationStatus> destinations) {
  return {.now = {.wall = kNow, .monotonic = MonotonicTime()},
          .uptime = Duration::zero(),
          .spool = {},
          .taken_at = MonotonicTime(),
          .destinations = std::move(destinations)};
}

std::string TextOf(const ServerStatus& status, size_t most) {
  MetricDestinations destinations(most);
  return MetricsText(status, "1.2.3", destinations, {});
}

TEST(MetricsTest, StepsOfTheDispatcherAreCountedByTheirDuration) {
  DispatcherMetrics dispatcher;
  dispatcher.OnStep(std::chrono::milliseconds(9));
  dispatcher.OnStep(std::chrono::milliseconds(60));
  MetricDestinations destinations(1);
  const std::string text =
      MetricsText(StatusOf({}), "1.2.3", destinations, {&dispatcher});
  for (const char* line :
       {"bucket{le=\"0.005\"} 0", "bucket{le=\"0.01\"} 1",
        "bucket{le=\"0.05\"} 1", "bucket{le=\"0.1\"} 2", "count 2"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat(
                          "heapsync_dispatcher_step_seconds_", line, "\n")));
  }
}

TEST(MetricsTest, DestinationsBeyondTheMostAreSummedUp) {
  const Scrape scrape = Parse(TextOf(
      StatusOf({Destination("a"), Destination("b"), Destination("c")}), 1));
  const std::string lane = R"(type="track_event")";
  EXPECT_EQ(
      scrape[R"(heapsync_items_accepted_total{destination="a",)" + lane + "}"],
      10);
  EXPECT_EQ(scrape[R"(heapsync_items_accepted_total{destination="_other",)" +
                   lane + "}"],
            20);
  EXPECT_EQ(
      scrape[R"(heapsync_items_dead_lettered_total{destination="_other",)" +
             lane + R"(,reason="expired"})"],
      4);
  EXPECT_EQ(
      scrape[R"(heapsync_queued_items{destination="_other",)" + lane + "}"], 6);
  EXPECT_EQ(scrape[R"(heapsync_allowance_limit_events{destination="_other"})"],
            30'000);
}

TEST(MetricsTest, OfTheRestTheOldestItemAndTheLatestEndAreTold) {
  DestinationStatus b = Destination("b");
  b.oldest_waiting[0] = kNow - std::chrono::seconds(5);
  b.snapshot.drained_in = std::chrono::seconds(50);
  DestinationStatus c = Destination("c");
  c.oldest_waiting[0] = kNow - std::chrono::seconds(7);
  c.snapshot.drained_in = std::chrono::seconds(40);
  const Scrape scrape = Parse(TextOf(StatusOf({b, c, Destination("d")}), 0));
  EXPECT_EQ(scrape[R"(heapsync_oldest_item_age_seconds{destination="_other",)"
                   R"(type="track_event"})"],
            7);
  EXPECT_EQ(scrape[R"(heapsync_drain_forecast_seconds{destination="_other"})"],
            50);
}

TEST(MetricsTest, OfTheRestEachStateTellsHowManyAreInIt) {
  const Scrape scrape =
      Parse(TextOf(StatusOf({Destination("a"), Destination("b"),
                             Destination("c", DestinationState::kPaused)}),
                   0));
  const std::string state =
      R"(heapsync_destination_state{destination="_other",state=)";
  EXPECT_EQ(scrape[state + R"("active"})"], 2);
  EXPECT_EQ(scrape[state + R"("paused"})"], 1);
  EXPECT_EQ(scrape[state + R"("backing_off"})"], 0);
}

TEST(MetricsTest, ADestinationKeepsItsOwnMetricsWhateverStandsBeforeIt) {
  MetricDestinations destinations(1);
  MetricsText(StatusOf({Destination("a")}), "1", destinations, {});
  const std::string text = MetricsText(
      StatusOf({Destination("new"), Destination("a")}), "1", destinations, {});
  EXPECT_THAT(text, HasSubstr(R"(destination="a")"));
  EXPECT_THAT(text, Not(HasSubstr(R"(destination="new")")));
}

TEST(MetricsTest, ItemsAreToldByCaller) {
  DestinationStatus a = Destination("a");
  a.snapshot.lanes[0].caller = "checkout";
  a.snapshot.lanes[1].caller = "crm";
  a.snapshot.lanes[1].type = ObjectType::kTrackEvent;
  const Scrape scrape = Parse(TextOf(StatusOf({a}), 1));
  const std::string lane =
      R"(heapsync_caller_items_accepted_total{destination="a",)"
      R"(type="track_event",caller=)";
  EXPECT_EQ(scrape[lane + R"("checkout"})"], 10);
  EXPECT_EQ(scrape[lane + R"("crm"})"], 10);
  EXPECT_EQ(scrape[R"(heapsync_caller_items_accepted_total{destination="a",)"
                   R"(type="account_properties",caller="_unnamed"})"],
            10);
}

TEST(MetricsTest, CallersBeyondTheMostAreSummedUp) {
  MetricDestinations destinations(1);
  for (size_t i = 0; i < MetricDestinations::kMaxCallers; ++i) {
    const std::string caller = absl::StrCat("caller-", i);
    EXPECT_EQ(destinations.CallerLabelOf("a", caller), caller);
  }
  EXPECT_EQ(destinations.CallerLabelOf("a", "one-more"), "_other");
  EXPECT_EQ(destinations.CallerLabelOf("b", "caller-0"), "_other");
  EXPECT_EQ(destinations.CallerLabelOf("a", "caller-0"), "caller-0");
  EXPECT_EQ(destinations.CallerLabelOf("b", ""), "_unnamed");
}

TEST(MetricsTest, TenThousandDestinationsMakeNoLongerScrapeThanAFew) {
  const auto lines_of = [](int count) {
    std::vector<DestinationStatus> all;
    for (int i = 0; i < count; ++i) {
      all.push_back(Destination(absl::StrCat("app-", i)));
    }
    const std::string text = TextOf(StatusOf(std::move(all)), 2);
    EXPECT_THAT(Parse(text).faults, IsEmpty());
    return std::vector<std::string>(absl::StrSplit(text, '\n')).size();
  };
  EXPECT_EQ(lines_of(10'000), lines_of(3));
}

}  // namespace
}  // namespace heapsync
