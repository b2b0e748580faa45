// The history of flows, sampled by hand at made-up times.

#include "server/observe/flow_history.h"

#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/observe/compact_count.h"

namespace heapsync {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;
using Range = FlowHistory::Range;

constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();

TEST(CompactCountTest, IsExactForSmallNumbersAndRoundsLargeOnes) {
  for (uint64_t count = 0; count <= 4'096; ++count) {
    const uint64_t stored = CompactCount(count).value();
    if (count < 2'048) {
      EXPECT_EQ(stored, count);
    } else {
      EXPECT_LE(stored > count ? stored - count : count - stored, 1) << count;
    }
  }
  for (uint64_t count = 1; count < CompactCount::kMax; count = count * 3 + 1) {
    EXPECT_NEAR(static_cast<double>(CompactCount(count).value()),
                static_cast<double>(count), static_cast<double>(count) / 2'000);
  }
}

TEST(CompactCountTest, IsCutAtItsMaximum) {
  EXPECT_EQ(CompactCount(CompactCount::kMax).value(), CompactCount::kMax);
  EXPECT_EQ(CompactCount(CompactCount::kMax + 1).value(), CompactCount::kMax);
  EXPECT_EQ(CompactCount(kUnknown).value(), CompactCount::kMax);
}

class FlowHistoryTest : public ::testing::Test {
 protected:
  static constexpr Duration kStep = FlowHistory::kStep;

  DestinationFlow Flow(const std::string& name, uint64_t accepted,
                       uint64_t delivered = 0, uint64_t queued = 0) {
    for (const Destination& known : destinations_) {
      if (known.name == name) {
        return {&known, accepted, delivered, queued, 0, 0};
      }
    }
    destinations_.push_back({.name = name, .app_id = *AppId::Parse("1234567")});
    return Flow(name, accepted, delivered, queued);
  }

  // Moves both clocks.
  void Pass(Duration time) {
    now_.wall += time;
    now_.monotonic += time;
  }
  void Sample(std::vector<DestinationFlow> flows) {
    history_.Add({.taken_at = now_, .destinations = std::move(flows)});
  }
  // A step in which the only destination accepted and delivered `items`, with
  // as many queued after it.
  void Step(uint64_t items) {
    Pass(kStep);
    total_ += items;
    Sample({Flow("shop", total_, total_, items)});
  }

  static std::vector<uint64_t> Accepted(const FlowChart& chart) {
    std::vector<uint64_t> values;
    for (const auto& point : chart.points) {
      values.push_back(point.has_value() ? point->accepted : kUnknown);
    }
    return values;
  }
  std::vector<uint64_t> Accepted(Range range = Range::kMinutes) const {
    return Accepted(history_.Charts(range, {}).total);
  }
  std::optional<FlowRates> RatesAt(Duration later, uint64_t accepted) const {
    return history_.TotalRates({.destination = "", .accepted = accepted},
                               now_.monotonic + later);
  }

  std::deque<Destination> destinations_;
  Now now_{.wall = WallTime(std::chrono::hours(500'000)),
           .monotonic = MonotonicTime(std::chrono::hours(5))};
  FlowHistory history_{now_};
  uint64_t total_ = 0;
};

TEST_F(FlowHistoryTest, BeginsWithTheStart) {
  EXPECT_THAT(Accepted(), IsEmpty());
  EXPECT_THAT(Accepted(Range::kHours), IsEmpty());
  Step(7);
  EXPECT_THAT(Accepted(), ElementsAre(7));
  EXPECT_THAT(Accepted(Range::kHours), ElementsAre(7 * 24));
}

TEST_F(FlowHistoryTest, APointTellsOfItsStep) {
  Pass(kStep);
  DestinationFlow shop = Flow("shop", 30, 20, 10);
  shop.allowance_used = 30;
  shop.allowance_total = 60;
  Sample({shop, Flow("crm", 5, 5, 0)});
  const FlowCharts charts =
      history_.Charts(Range::kMinutes, {"shop", "crm", "none"});
  EXPECT_EQ(charts.step, kStep);
  EXPECT_EQ(charts.end, now_.monotonic);
  ASSERT_THAT(charts.total.points, SizeIs(1));
  EXPECT_EQ(charts.total.points[0]->accepted, 35);
  EXPECT_EQ(charts.total.points[0]->delivered, 25);
  EXPECT_EQ(charts.total.points[0]->queued_items, 10);
  EXPECT_THAT(charts.total.points[0]->allowance_percent, Optional(50));
  ASSERT_THAT(charts.destinations, SizeIs(3));
  EXPECT_EQ(charts.destinations[0].points[0]->delivered, 20);
  EXPECT_EQ(charts.destinations[1].points[0]->accepted, 5);
  EXPECT_EQ(charts.destinations[1].points[0]->allowance_percent, std::nullopt);
  EXPECT_THAT(charts.destinations[2].points, IsEmpty());
}

TEST_F(FlowHistoryTest, ASampleThatComesLateIsScaledToTheStep) {
  Pass(kStep + kStep / 2);
  Sample({Flow("shop", 150)});
  EXPECT_THAT(Accepted(), ElementsAre(100));
}

TEST_F(FlowHistoryTest, ASecondSampleOfAStepIsIgnored) {
  Step(1);
  Pass(kStep / 2);
  Sample({Flow("shop", 100)});
  EXPECT_THAT(Accepted(), ElementsAre(1));
}

TEST_F(FlowHistoryTest, StepsWithoutASampleAreUnknown) {
  Step(1);
  Pass(2 * kStep);
  Step(2);  // of three steps, so that nothing is known of the last one either
  Step(3);
  EXPECT_THAT(Accepted(), ElementsAre(1, kUnknown, kUnknown, kUnknown, 3));
}

TEST_F(FlowHistoryTest, AnAbsenceOfAnyLengthLeavesOnlyWhatIsKnown) {
  for (int i = 0; i < 40; ++i) Step(1);
  Pass(std::chrono::hours(24 * 365));
  Step(5);
  Step(6);
  std::vector<uint64_t> expected(FlowHistory::kPoints, kUnknown);
  expected.back() = 6;
  EXPECT_EQ(Accepted(), expected);
  const std::vector<uint64_t> hours = Accepted(Range::kHours);
  EXPECT_THAT(hours, SizeIs(FlowHistory::kPoints));
  for (size_t i = 0; i + 1 < hours.size(); ++i) EXPECT_EQ(hours[i], kUnknown);
}

TEST_F(FlowHistoryTest, AWallClockThatIsSetLeavesAGapAndNothingElse) {
  for (const auto jump : {std::chrono::hours(1), std::chrono::hours(-2)}) {
    Step(4);
    now_.wall += jump;
    Step(5);
    Step(6);
  }
  EXPECT_THAT(Accepted(), ElementsAre(4, kUnknown, 6, 4, kUnknown, 6));
}

TEST_F(FlowHistoryTest, SmallCorrectionsOfTheClockLeaveNoGap) {
  now_.wall += std::chrono::seconds(2);
  Step(4);
  EXPECT_THAT(Accepted(), ElementsAre(4));
}

TEST_F(FlowHistoryTest, TheShortRangeHoldsTheLastPoints) {
  for (uint64_t i = 0; i < 200; ++i) Step(i);
  std::vector<uint64_t> expected;
  for (uint64_t i = 200 - FlowHistory::kPoints; i < 200; ++i) {
    expected.push_back(i);
  }
  EXPECT_EQ(Accepted(), expected);
}

TEST_F(FlowHistoryTest, TheLongRangeSumsItemsAndKeepsTheHighestBacklog) {
  for (uint64_t i = 1; i <= 24; ++i) Step(i);
  Step(1'000);
  const FlowCharts charts = history_.Charts(Range::kHours, {"shop"});
  EXPECT_EQ(charts.step, 24 * kStep);
  EXPECT_EQ(charts.end, now_.monotonic + 23 * kStep);
  for (const FlowChart& chart : {charts.total, charts.destinations[0]}) {
    ASSERT_THAT(chart.points, SizeIs(2));
    EXPECT_EQ(chart.points[0]->accepted, 300);
    EXPECT_EQ(chart.points[0]->queued_items, 24);
    // The running step is shown as if it went on so.
    EXPECT_EQ(chart.points[1]->accepted, 24'000);
  }
}

TEST_F(FlowHistoryTest, TheLongRangeHoldsSixHours) {
  for (int i = 0; i < 24 * 200; ++i) Step(1);
  EXPECT_THAT(Accepted(Range::kHours), SizeIs(FlowHistory::kPoints));
  EXPECT_THAT(Accepted(Range::kHours), Each(24));
  EXPECT_EQ(FlowHistory::kPoints * FlowHistory::kLongStep * kStep,
            std::chrono::hours(6));
  Step(1);
  EXPECT_THAT(Accepted(Range::kHours), SizeIs(FlowHistory::kPoints));
}

TEST_F(FlowHistoryTest, ALongStepIsKnownIfHalfOfItIs) {
  Pass(11 * kStep);
  for (int i = 0; i < 13; ++i) Step(2);  // 12 of 24 points are known
  Pass(12 * kStep);
  for (int i = 0; i < 12; ++i) Step(2);  // and 11 of the next ones
  EXPECT_THAT(Accepted(Range::kHours), ElementsAre(48, kUnknown));
}

TEST_F(FlowHistoryTest, IdleDestinationsTakeNoMemory) {
  Pass(kStep);
  Sample({Flow("idle", 0), Flow("busy", 1)});
  EXPECT_EQ(history_.destinations(), 1);
  Pass(kStep);
  Sample({Flow("idle", 3), Flow("busy", 1)});
  const FlowCharts charts = history_.Charts(Range::kMinutes, {"idle"});
  EXPECT_THAT(Accepted(charts.destinations[0]), ElementsAre(0, 3));
}

TEST_F(FlowHistoryTest, DestinationsBeyondTheMaximumArePartOfTheTotalOnly) {
  std::vector<DestinationFlow> flows;
  for (size_t i = 0; i < FlowHistory::kMaxDestinations + 500; ++i) {
    destinations_.push_back(
        {.name = absl::StrCat("app-", i), .app_id = *AppId::Parse("1234567")});
    flows.push_back({&destinations_.back(), 2, 0, 0, 0, 0});
  }
  for (int i = 0; i < 3; ++i) {
    Pass(kStep);
    Sample(flows);
  }
  EXPECT_EQ(history_.destinations(), FlowHistory::kMaxDestinations);
  EXPECT_EQ(Accepted().front(),
            CompactCount(2 * (FlowHistory::kMaxDestinations + 500)).value());
  const auto rates =
      history_.RatesOf({{"app-0", 2, 0}, {"app-10499", 2, 0}}, now_.monotonic);
  EXPECT_THAT(rates[0]->accepted, 0);
  EXPECT_FALSE(rates[1].has_value());
}

TEST_F(FlowHistoryTest, HugeNumbersAreCut) {
  Pass(kStep);
  DestinationFlow flow = Flow("shop", 1, 1, kUnknown);
  flow.allowance_used = 1'000'000'000;
  flow.allowance_total = 1;
  Sample({flow});
  const FlowPoint point = *history_.Charts(Range::kMinutes, {}).total.points[0];
  EXPECT_EQ(point.queued_items, CompactCount::kMax);
  EXPECT_THAT(point.allowance_percent, Optional(65'534));
}

TEST_F(FlowHistoryTest, ACounterThatFallsIsNoFlow) {
  Pass(kStep);
  Sample({Flow("shop", 50)});
  Pass(kStep);
  Sample({Flow("shop", 20)});
  EXPECT_THAT(Accepted(), ElementsAre(50, 0));
}

TEST_F(FlowHistoryTest, RatesAreOfTheLastOneToTwoSteps) {
  EXPECT_FALSE(RatesAt(std::chrono::milliseconds(900), 5).has_value());
  EXPECT_EQ(RatesAt(std::chrono::seconds(2), 5)->accepted, 2.5);
  Step(100);
  EXPECT_EQ(RatesAt(Duration(0), 100)->accepted, 10);
  Step(200);
  EXPECT_EQ(RatesAt(Duration(0), 300)->accepted, 20);
  EXPECT_EQ(RatesAt(kStep, 300)->accepted, 10);
  EXPECT_EQ(RatesAt(-5 * kStep, 300), std::nullopt);
}

}  // namespace
}  // namespace heapsync
