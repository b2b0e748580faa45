#include "base/pause_watch.h"

#include <chrono>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;

class PauseWatchTest : public ::testing::Test {
 protected:
  // Time passes while the watch ticks.
  void Run(milliseconds duration) {
    for (const auto end = now_ + duration; now_ < end;) {
      now_ += PauseWatch::kTick;
      watch_.Tick();
    }
  }

  PauseWatch::Time now_ = std::chrono::hours(1);
  PauseWatch watch_{[this] { return now_; }};
};

TEST_F(PauseWatchTest, WhatBeganBeforeAPauseIsKnownBeforeTheNextTick) {
  Run(milliseconds(500));
  const PauseWatch::Time before = watch_.Now();
  EXPECT_FALSE(watch_.PausedSince(before));
  now_ += PauseWatch::kMinPause + milliseconds(1);
  EXPECT_TRUE(watch_.PausedSince(before));
  Run(milliseconds(60'000));
  EXPECT_TRUE(watch_.PausedSince(before));
}

TEST_F(PauseWatchTest, WhatBeganRightAfterAPauseCountsAsBeforeIt) {
  now_ += std::chrono::seconds(30);
  watch_.Tick();
  now_ += PauseWatch::kSettling - milliseconds(1);
  EXPECT_TRUE(watch_.PausedSince(watch_.Now()));
  now_ += milliseconds(1);
  EXPECT_FALSE(watch_.PausedSince(watch_.Now()));
}

TEST_F(PauseWatchTest, ATickThatIsLateIsNoPause) {
  Run(milliseconds(500));
  const PauseWatch::Time before = watch_.Now();
  now_ += PauseWatch::kMinPause;
  watch_.Tick();
  EXPECT_FALSE(watch_.PausedSince(before));
}

TEST_F(PauseWatchTest, NothingPausedBeforeTheStart) {
  EXPECT_FALSE(watch_.PausedSince(watch_.Now()));
}

}  // namespace
}  // namespace heapsync
