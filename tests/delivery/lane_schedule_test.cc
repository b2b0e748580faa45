#include "heap_adapter/delivery/lane_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heapsync {
namespace {

using std::chrono::seconds;
using ::testing::Optional;

constexpr MonotonicTime kStart{};

class LaneScheduleTest : public ::testing::Test {
 protected:
  ScheduledLane a_{1};
  ScheduledLane b_{2};
  LaneSchedule schedule_;
};

TEST_F(LaneScheduleTest, LanesComeInTheOrderInWhichTheyWereEnqueued) {
  schedule_.Enqueue(b_);
  schedule_.Enqueue(a_);
  EXPECT_EQ(schedule_.TakeReady(), 2);
  EXPECT_EQ(schedule_.TakeReady(), 1);
  EXPECT_FALSE(schedule_.HasReady());
}

TEST_F(LaneScheduleTest, ALaneStandsInLineOnce) {
  schedule_.Enqueue(a_);
  schedule_.Enqueue(a_);
  schedule_.TakeReady();
  EXPECT_FALSE(schedule_.HasReady());
}

TEST_F(LaneScheduleTest, AParkedLaneIsNotEnqueuedUntilItIsOffered) {
  schedule_.Park(a_);
  schedule_.Enqueue(a_);
  EXPECT_FALSE(schedule_.HasReady());
  schedule_.Enqueue(b_);
  schedule_.OfferFirst(a_);
  EXPECT_EQ(schedule_.TakeReady(), 1);
}

TEST_F(LaneScheduleTest, ALaneWakesAtTheEarliestTimeAskedFor) {
  schedule_.WakeAt(a_, kStart + seconds(5));
  schedule_.WakeAt(a_, kStart + seconds(2));
  schedule_.WakeAt(a_, kStart + seconds(9));
  EXPECT_THAT(schedule_.NextWake(), Optional(kStart + seconds(2)));
  schedule_.WakeDue(kStart + seconds(2) - Duration(1));
  EXPECT_FALSE(schedule_.HasReady());
  schedule_.WakeDue(kStart + seconds(2));
  EXPECT_EQ(schedule_.TakeReady(), 1);
  EXPECT_EQ(schedule_.NextWake(), std::nullopt);
}

TEST_F(LaneScheduleTest, LanesThatWakeTogetherComeByTheirIds) {
  schedule_.WakeAt(b_, kStart);
  schedule_.WakeAt(a_, kStart);
  schedule_.WakeDue(kStart);
  EXPECT_EQ(schedule_.TakeReady(), 1);
  EXPECT_EQ(schedule_.TakeReady(), 2);
}

}  // namespace
}  // namespace heapsync
