#include "server/access/token_bucket.h"

#include <chrono>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonotonicTime kStart = MonotonicTime(std::chrono::hours(1));

TEST(TokenBucketTest, ABurstPassesAndTheNextItemDoesNot) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  EXPECT_FALSE(bucket.TryTake(1, kStart));
}

TEST(TokenBucketTest, ItFillsAtItsRate) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  EXPECT_FALSE(bucket.TryTake(1, kStart + milliseconds(99)));
  EXPECT_TRUE(bucket.TryTake(1, kStart + milliseconds(100)));
}

TEST(TokenBucketTest, ItNeverHoldsMoreThanABurst) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  EXPECT_TRUE(bucket.TryTake(5, kStart + seconds(1'000)));
  EXPECT_FALSE(bucket.TryTake(1, kStart + seconds(1'000)));
}

TEST(TokenBucketTest, MoreThanABurstPassesWhenItIsFullAndIsPaidForAfterwards) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(25, kStart));
  EXPECT_FALSE(bucket.TryTake(1, kStart + seconds(2)));
  EXPECT_TRUE(bucket.TryTake(1, kStart + milliseconds(2'100)));
}

TEST(TokenBucketTest, DebtIsWaitedFor) {
  TokenBucket bucket(10, 5);
  bucket.Take(15, kStart);
  EXPECT_EQ(bucket.TimeUntil(0, kStart), seconds(1) + Duration(1));
  EXPECT_EQ(bucket.TimeUntil(0, kStart + seconds(1)), Duration::zero());
}

TEST(TokenBucketTest, TimeThatGoesBackGivesNothing) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  EXPECT_FALSE(bucket.TryTake(1, kStart - seconds(10)));
  EXPECT_FALSE(bucket.TryTake(1, kStart + milliseconds(50)));
}

TEST(TokenBucketTest, ARateNearZeroWaitsForADayAtMost) {
  TokenBucket bucket(1e-300, 1);
  bucket.Take(2, kStart);
  EXPECT_EQ(bucket.TimeUntil(1, kStart), std::chrono::hours(24) + Duration(1));
}

}  // namespace
}  // namespace heapsync
