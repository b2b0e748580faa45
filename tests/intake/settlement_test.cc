#include "heap_adapter/intake/settlement.h"

#include <memory>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

class SettlementTest : public ::testing::Test {
 protected:
  SettledCallback Into(std::optional<Settlement>& outcome) {
    return [&outcome](Settlement settlement) { outcome = settlement; };
  }
  void End(std::vector<Seq> seqs, bool delivered = true) {
    for (const Seq seq : seqs) waiters_.End(seq, delivered);
  }
  void CallFinished() {
    for (auto& [callback, settlement] : waiters_.TakeFinished()) {
      callback(settlement);
    }
  }
  void ExpectEnded(const std::optional<Settlement>& outcome, uint64_t delivered,
                   uint64_t dead_lettered) {
    CallFinished();
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->delivered, delivered);
    EXPECT_EQ(outcome->dead_lettered, dead_lettered);
  }
  void ExpectWaiting(const std::optional<Settlement>& outcome) {
    CallFinished();
    EXPECT_FALSE(outcome.has_value());
  }

  SettlementWaiters waiters_;
  std::optional<Settlement> outcome_;
  std::optional<Settlement> other_;
};

TEST_F(SettlementTest, EndsWithTheLastItemInWhateverOrder) {
  waiters_.WaitForItems({10, 13}, Into(outcome_));
  End({12, 10});
  ExpectWaiting(outcome_);
  End({9, 13});
  ExpectWaiting(outcome_);
  End({11});
  ExpectEnded(outcome_, 3, 0);
  EXPECT_TRUE(waiters_.empty());
}

TEST_F(SettlementTest, CountsDeliveredAndDeadLettered) {
  waiters_.WaitForItems({0, 3}, Into(outcome_));
  End({0, 2});
  End({1}, /*delivered=*/false);
  ExpectEnded(outcome_, 2, 1);
}

TEST_F(SettlementTest, AppendsThatTouchWaitApart) {
  waiters_.WaitForItems({0, 2}, Into(outcome_));
  waiters_.WaitForItems({2, 3}, Into(other_));
  End({2});
  ExpectEnded(other_, 1, 0);
  ExpectWaiting(outcome_);
  End({0, 1});
  ExpectEnded(outcome_, 2, 0);
}

TEST_F(SettlementTest, CallsBackOnlyOnce) {
  waiters_.WaitForItems({0, 1}, Into(outcome_));
  End({0});
  ExpectEnded(outcome_, 1, 0);
  outcome_.reset();
  ExpectWaiting(outcome_);
}

TEST_F(SettlementTest, FlushOfNothingEndsAtOnce) {
  waiters_.WaitForAllBelow(10, 0, Into(outcome_));
  ExpectEnded(outcome_, 0, 0);
}

TEST_F(SettlementTest, FlushWaitsForAllBelowAndNothingAbove) {
  waiters_.WaitForAllBelow(10, 2, Into(outcome_));
  End({10, 4, 11});
  ExpectWaiting(outcome_);
  End({9}, /*delivered=*/false);
  ExpectEnded(outcome_, 1, 1);
}

TEST_F(SettlementTest, ItemsThatTravelInAnotherEndWithIt) {
  waiters_.WaitForItems({0, 3}, Into(outcome_));
  waiters_.Forward(1, 0);
  waiters_.Forward(2, 0);
  End({0}, /*delivered=*/false);
  ExpectEnded(outcome_, 0, 3);
}

TEST_F(SettlementTest, WhatTravelsInsideGoesAlongWhenItsCarrierIsCoalesced) {
  waiters_.WaitForItems({0, 3}, Into(outcome_));
  waiters_.Forward(0, 1);
  waiters_.Forward(1, 2);
  End({2});
  ExpectEnded(outcome_, 3, 0);
}

TEST_F(SettlementTest, FlushWaitsForCoalescedItemsWithoutCountingThemTwice) {
  waiters_.WaitForItems({0, 4}, Into(other_));
  waiters_.Forward(1, 0);
  // Three wait: 0 with 1 inside, 2 and 3.
  waiters_.WaitForAllBelow(4, 3, Into(outcome_));
  End({0});
  ExpectWaiting(outcome_);
  End({2});
  ExpectWaiting(outcome_);
  End({3});
  ExpectEnded(outcome_, 4, 0);
  EXPECT_TRUE(other_.has_value());
}

TEST_F(SettlementTest, FlushEndsWhenItsItemsAreCoalescedAfterIt) {
  waiters_.WaitForAllBelow(2, 2, Into(outcome_));
  waiters_.Forward(1, 0);
  End({0});
  ExpectEnded(outcome_, 2, 0);
}

TEST_F(SettlementTest, ForgetsForwardingsThatNobodyWaitsForAnyMore) {
  waiters_.WaitForItems({5, 6}, Into(other_));
  waiters_.Forward(1, 0);
  End({5});
  ExpectEnded(other_, 1, 0);
  waiters_.WaitForAllBelow(6, 1, Into(outcome_));
  End({0});
  ExpectEnded(outcome_, 1, 0);
}

TEST_F(SettlementTest, ThoseWhoLeftAreForgottenBeforeTheyPileUp) {
  const auto stays = std::make_shared<int>();
  waiters_.WaitForItems({0, 1}, {stays, Into(outcome_)});
  for (Seq seq = 1; seq < 100'000; ++seq) {
    const auto leaves = std::make_shared<int>();
    waiters_.WaitForItems({seq, seq + 1}, {leaves, Into(other_)});
  }
  EXPECT_LT(waiters_.size(), 2'000u);
  End({0, 99'999});
  ExpectEnded(outcome_, 1, 0);
}

TEST_F(SettlementTest, FlushesThatWereGivenUpAreForgottenSoon) {
  const auto stays = std::make_shared<int>();
  waiters_.WaitForAllBelow(1, 1, {stays, Into(outcome_)});
  for (int i = 0; i < 10'000; ++i) {
    const auto leaves = std::make_shared<int>();
    waiters_.WaitForAllBelow(1, 1, {leaves, Into(other_)});
  }
  EXPECT_LE(waiters_.size(), 16u);
  End({0, 1});
  ExpectEnded(outcome_, 1, 0);
}

TEST_F(SettlementTest, WhatNobodyWaitsForIsNotRememberedWhenItIsCoalesced) {
  waiters_.WaitForItems({0, 1}, Into(outcome_));
  waiters_.Forward(7, 0);
  waiters_.WaitForAllBelow(8, 1, Into(other_));
  End({0});
  ExpectEnded(outcome_, 1, 0);
  ExpectEnded(other_, 1, 0);
}

}  // namespace
}  // namespace heapsync
