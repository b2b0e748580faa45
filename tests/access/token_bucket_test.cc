#include "server/access/token_bucket.h"

#include <chrono>
#include <vector>

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

TEST(TokenBucketTest, TimeThatGoesBackGivesNothing) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  EXPECT_FALSE(bucket.TryTake(1, kStart - seconds(10)));
  EXPECT_FALSE(bucket.TryTake(1, kStart + milliseconds(50)));
}

TEST(TokenBucketTest, ARateNearZeroWaitsForADayAtMost) {
  TokenBucket bucket(1e-300, 1);
  EXPECT_TRUE(bucket.TryTake(1, kStart));
  constexpr Duration kDay = std::chrono::hours(24) + Duration(1);
  EXPECT_EQ(bucket.TimeUntil(1, kStart), kDay);
  EXPECT_EQ(bucket.TimeUntilPaid(bucket.Join(1, kStart), kStart), kDay);
}

TEST(TokenBucketTest, AMessageThatTheBucketHoldsPassesAtOnce) {
  TokenBucket bucket(10, 5);
  EXPECT_EQ(bucket.TimeUntilPaid(bucket.Join(5, kStart), kStart),
            Duration::zero());
  EXPECT_FALSE(bucket.TryTake(1, kStart));
}

TEST(TokenBucketTest, AMessageBeyondTheBurstPassesOnceAllOfItIsPaid) {
  TokenBucket bucket(10, 5);
  const auto ticket = bucket.Join(25, kStart);
  EXPECT_EQ(bucket.TimeUntilPaid(ticket, kStart), seconds(2) + Duration(1));
  EXPECT_EQ(bucket.TimeUntilPaid(ticket, kStart + milliseconds(1'500)),
            milliseconds(500) + Duration(1));
  EXPECT_EQ(bucket.TimeUntilPaid(ticket, kStart + seconds(2)),
            Duration::zero());
  EXPECT_FALSE(bucket.TryTake(1, kStart + seconds(2)));
}

TEST(TokenBucketTest, MessagesPassInTheirOrderHoweverSeldomTheyAsk) {
  TokenBucket bucket(10, 5);
  const auto first = bucket.Join(15, kStart);
  const auto second = bucket.Join(1, kStart);
  EXPECT_EQ(bucket.TimeUntilPaid(second, kStart),
            milliseconds(1'100) + Duration(1));
  EXPECT_GT(bucket.TimeUntilPaid(second, kStart + seconds(1)),
            Duration::zero());
  EXPECT_EQ(bucket.TimeUntilPaid(second, kStart + milliseconds(1'100)),
            Duration::zero());
  EXPECT_EQ(bucket.TimeUntilPaid(first, kStart + seconds(60)),
            Duration::zero());
  EXPECT_EQ(bucket.queue_length(), 0);
}

// As many streams, all opened before the first item, each with a large message.
TEST(TokenBucketTest, AHundredMessagesPassAtTheRate) {
  TokenBucket bucket(1'000, 10);
  std::vector<TokenBucket::Ticket> waiting;
  for (int i = 0; i < 100; ++i) waiting.push_back(bucket.Join(1'000, kStart));
  int passed = 0;
  for (int second = 0; second <= 25; ++second) {
    std::erase_if(waiting, [&](TokenBucket::Ticket ticket) {
      const bool paid =
          bucket.TimeUntilPaid(ticket, kStart + seconds(second)) ==
          Duration::zero();
      passed += paid ? 1'000 : 0;
      return paid;
    });
  }
  EXPECT_EQ(passed, 25'000);
}

TEST(TokenBucketTest, CallsGetHalfOfTheRateWhileMessagesWait) {
  TokenBucket bucket(10, 5);
  const auto ticket = bucket.Join(1'000, kStart);
  while (bucket.TryTake(1, kStart)) {
  }
  int calls = 0;
  for (int ms = 1; ms <= 10'000; ++ms) {
    calls += bucket.TryTake(1, kStart + milliseconds(ms));
  }
  EXPECT_EQ(calls, 50);
  EXPECT_EQ(bucket.TimeUntilPaid(ticket, kStart + seconds(10)),
            seconds(95) + Duration(1));
}

TEST(TokenBucketTest, MessagesGetHalfOfTheRateWhateverCallsTake) {
  TokenBucket bucket(8, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  const auto ticket = bucket.Join(50, kStart);
  int rounds = 0;  // of 125 ms, in which one item comes in
  Duration left;
  do {
    const MonotonicTime now = kStart + ++rounds * milliseconds(125);
    while (bucket.TryTake(1, now)) {
    }
    left = bucket.TimeUntilPaid(ticket, now);
  } while (left > Duration::zero() && rounds < 1'000);
  // The bucket pays the last item: calls left half of one in it before.
  EXPECT_EQ(rounds, 98);
}

TEST(TokenBucketTest, AMessageThatLeavesMakesWayAndItsPaymentReturns) {
  TokenBucket bucket(10, 5);
  EXPECT_TRUE(bucket.TryTake(5, kStart));
  const auto first = bucket.Join(1'000, kStart);
  const auto second = bucket.Join(5, kStart);
  EXPECT_GT(bucket.TimeUntilPaid(second, kStart + milliseconds(500)),
            seconds(99));
  bucket.Leave(first);
  EXPECT_EQ(bucket.TimeUntilPaid(second, kStart + milliseconds(500)),
            Duration::zero());
}

// A proxy may reset a stream before a large message is paid.
TEST(TokenBucketTest, AMessageThatComesAgainKeepsWhatItPaid) {
  TokenBucket bucket(10, 5);
  const auto first_try = bucket.Join(1'000, kStart);
  EXPECT_GT(bucket.TimeUntilPaid(first_try, kStart + seconds(60)),
            Duration::zero());
  bucket.Leave(first_try);
  const auto second_try = bucket.Join(1'000, kStart + seconds(60));
  // 5 were in the bucket, and 10 came in each second.
  EXPECT_EQ(bucket.TimeUntilPaid(second_try, kStart + seconds(60)),
            milliseconds(39'500) + Duration(1));
  EXPECT_EQ(bucket.TimeUntilPaid(second_try, kStart + milliseconds(99'500)),
            Duration::zero());
  EXPECT_EQ(bucket.TimeUntilPaid(bucket.Join(10, kStart + milliseconds(99'500)),
                                 kStart + milliseconds(99'500)),
            seconds(1) + Duration(1));
}

TEST(TokenBucketTest, NoMoreThanOneMessagesPaymentIsKept) {
  TokenBucket bucket(10, 5);
  MonotonicTime now = kStart;
  for (int i = 0; i < 3; ++i) {
    const auto ticket = bucket.Join(10'000, now);
    now += seconds(100);
    EXPECT_GT(bucket.TimeUntilPaid(ticket, now), Duration::zero());
    bucket.Leave(ticket);
  }
  // Of the 3,000 that came in, 1,000 are kept, and 5 are in the bucket.
  EXPECT_EQ(bucket.TimeUntilPaid(bucket.Join(2'000, now), now),
            milliseconds(99'500) + Duration(1));
}

}  // namespace
}  // namespace heapsync
