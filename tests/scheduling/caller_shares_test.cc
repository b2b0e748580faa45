#include "heap_adapter/scheduling/caller_shares.h"

#include <gtest/gtest.h>

#include <chrono>

namespace heapsync {
namespace {

using std::chrono::seconds;

constexpr uint32_t kShop = 1;
constexpr uint32_t kBooks = 2;

class CallerSharesTest : public ::testing::Test {
 protected:
  void LimitTo(uint32_t total) {
    ledger_ = UsageLedger({.window = seconds(60), .total = total});
  }
  void AdvanceTo(int64_t second) {
    now_.monotonic = MonotonicTime(seconds(second));
    ledger_.Advance(now_.monotonic);
  }
  uint32_t Allowance(uint32_t caller) {
    return shares_.Allowance(ledger_, caller, now_);
  }
  // Delivers it at once.
  void Use(uint32_t caller, uint32_t units) {
    const uint64_t before = ledger_.UsedBy(caller);
    ledger_.Begin(++attempt_, {{0, units}}, caller);
    shares_.OnBegun(ledger_, before, ledger_.UsedBy(caller), now_.monotonic);
    ledger_.End(attempt_, now_.monotonic);
  }

  UsageLedger ledger_{{.window = seconds(60), .total = 12'800}};
  CallerShares shares_;
  Now now_{};
  uint64_t attempt_ = 0;
};

TEST_F(CallerSharesTest, WhoIsAloneMayTakeAll) {
  shares_.Add(kShop);
  EXPECT_EQ(Allowance(kShop), 12'800);
  Use(kShop, 12'000);
  EXPECT_EQ(Allowance(kShop), 800);
}

TEST_F(CallerSharesTest, WithoutALimitThereIsNothingToShare) {
  LimitTo(0);
  shares_.Add(kShop);
  shares_.Add(kBooks);
  Use(kShop, 1'000'000);
  EXPECT_EQ(Allowance(kShop), UsageLedger::kUnlimited);
}

TEST_F(CallerSharesTest, AnEqualShareIsThereAtOnce) {
  shares_.Add(kShop);
  shares_.Add(kBooks);
  EXPECT_EQ(Allowance(kShop), 6'400);
  Use(kShop, 6'400);
  EXPECT_EQ(Allowance(kBooks), 6'400);
}

// The rest of 6,400, less the hundred that are kept, spread over a minute.
TEST_F(CallerSharesTest, BeyondTheShareItGoesBitByBit) {
  shares_.Add(kShop);
  shares_.Add(kBooks);
  Use(kShop, 6'400);
  const uint32_t first = Allowance(kShop);
  EXPECT_EQ(first, static_cast<uint32_t>(1.15 * 6'300 / 60));
  Use(kShop, first);
  EXPECT_EQ(Allowance(kShop), 0);
  EXPECT_GT(shares_.next(), now_.monotonic);
  now_.monotonic = shares_.next();
  EXPECT_GT(Allowance(kShop), 0);
}

TEST_F(CallerSharesTest, ASmallPartIsKeptForWhoIsNew) {
  shares_.Add(kShop);
  shares_.Add(kBooks);
  for (int64_t second = 0; second < 60; ++second) {
    AdvanceTo(second);
    const uint32_t allowed = Allowance(kShop);
    if (allowed > 0) Use(kShop, allowed);
  }
  EXPECT_GE(Allowance(kBooks), 100u);
  EXPECT_EQ(Allowance(kBooks), ledger_.TotalAllowance());
}

TEST_F(CallerSharesTest, WhatACallerUsedLatelyIsKeptForIt) {
  shares_.Add(kShop);
  shares_.Add(kBooks);
  Use(kBooks, 2'000);
  Allowance(kBooks);
  AdvanceTo(61);
  Use(kShop, 6'400);
  // Of 6,400: the 2,000 that may come back, and the hundred.
  EXPECT_EQ(Allowance(kShop), static_cast<uint32_t>(1.15 * 4'300 / 60));
  EXPECT_EQ(Allowance(kBooks), 6'400);
}

}  // namespace
}  // namespace heapsync
