#include "heap_adapter/scheduling/concurrency_limit.h"

#include <gtest/gtest.h>

#include <chrono>

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void Succeed(ConcurrencyLimit& limit, int times, Duration latency) {
  for (int i = 0; i < times; ++i) limit.OnSuccess(latency);
}

TEST(ConcurrencyLimit, BeginsWithTwo) {
  EXPECT_EQ(ConcurrencyLimit(8).limit(), 2);
}

TEST(ConcurrencyLimit, GrowsByOneForEachRoundOfGoodAnswers) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 1, milliseconds(100));
  EXPECT_EQ(limit.limit(), 2);
  Succeed(limit, 1, milliseconds(100));
  EXPECT_EQ(limit.limit(), 3);
  Succeed(limit, 3, milliseconds(100));
  EXPECT_EQ(limit.limit(), 4);
}

TEST(ConcurrencyLimit, NeverGrowsBeyondItsMost) {
  ConcurrencyLimit limit(5);
  Succeed(limit, 1'000, milliseconds(100));
  EXPECT_EQ(limit.limit(), 5);
}

TEST(ConcurrencyLimit, NeverBeginsBeyondItsMost) {
  EXPECT_EQ(ConcurrencyLimit(1).limit(), 1);
}

TEST(ConcurrencyLimit, HalvesOnTroubleButNeverBelowOne) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 1'000, milliseconds(100));
  limit.OnTrouble();
  EXPECT_EQ(limit.limit(), 4);
  for (int i = 0; i < 5; ++i) limit.OnTrouble();
  EXPECT_EQ(limit.limit(), 1);
}

TEST(ConcurrencyLimit, TroubleRestartsTheRound) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 2 + 2, milliseconds(100));
  limit.OnTrouble();
  EXPECT_EQ(limit.limit(), 1);
  Succeed(limit, 1, milliseconds(100));
  EXPECT_EQ(limit.limit(), 2);
}

TEST(ConcurrencyLimit, HalvesWhenAnswersSlowDown) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 1'000, milliseconds(100));
  Succeed(limit, 1, seconds(1));
  EXPECT_EQ(limit.limit(), 4);
}

TEST(ConcurrencyLimit, BearsSmallSlowdownsOfQuickAnswers) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 1'000, milliseconds(1));
  Succeed(limit, 10, milliseconds(200));
  EXPECT_EQ(limit.limit(), 8);
}

TEST(ConcurrencyLimit, LearnsThatThePathHasBecomePermanentlySlow) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 1'000, milliseconds(100));
  Succeed(limit, 1'000, seconds(2));
  EXPECT_EQ(limit.limit(), 8);
}

TEST(ConcurrencyLimit, AnswersWithoutAnyLatencyAreGood) {
  ConcurrencyLimit limit(8);
  Succeed(limit, 1'000, Duration::zero());
  EXPECT_EQ(limit.limit(), 8);
}

}  // namespace
}  // namespace heapsync
