#include "heap_adapter/scheduling/usage_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace heapsync {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Duration kWindow = seconds(60);

MonotonicTime At(int64_t second) { return MonotonicTime(seconds(second)); }

TEST(UsageLedger, AllowsEverythingAtOnce) {
  UsageLedger ledger({.window = kWindow, .total = 100, .per_identity = 10});
  EXPECT_EQ(ledger.TotalAllowance(), 100);
  EXPECT_EQ(ledger.IdentityAllowance(7), 10);
  ledger.Begin(1, {{7, 10}, {8, 90}});
  EXPECT_EQ(ledger.TotalAllowance(), 0);
  EXPECT_EQ(ledger.IdentityAllowance(7), 0);
  EXPECT_EQ(ledger.IdentityAllowance(9), 10);
}

TEST(UsageLedger, GivesUnitsBackOneWindowAfterTheAnswer) {
  UsageLedger ledger({.window = kWindow, .total = 100, .per_identity = 10});
  ledger.Begin(1, {{7, 4}});
  EXPECT_EQ(ledger.NextRelease(), std::nullopt);
  ledger.End(1, At(30));
  EXPECT_EQ(ledger.NextRelease(), At(90));
  ledger.Advance(At(90) - Duration(1));
  EXPECT_EQ(ledger.TotalAllowance(), 96);
  EXPECT_EQ(ledger.IdentityAllowance(7), 6);
  ledger.Advance(At(90));
  EXPECT_EQ(ledger.TotalAllowance(), 100);
  EXPECT_EQ(ledger.IdentityAllowance(7), 10);
  EXPECT_EQ(ledger.NextRelease(), std::nullopt);
}

TEST(UsageLedger, HoldsUnitsAsLongAsThereIsNoAnswer) {
  UsageLedger ledger({.window = kWindow, .total = 100});
  ledger.Begin(1, {{0, 100}});
  ledger.Advance(At(1'000'000));
  EXPECT_EQ(ledger.TotalAllowance(), 0);
}

TEST(UsageLedger, RefundsAtOnceWhatNeverReachedHeap) {
  UsageLedger ledger({.window = kWindow, .total = 100, .per_identity = 10});
  ledger.Begin(1, {{7, 10}});
  ledger.Refund(1);
  EXPECT_EQ(ledger.TotalAllowance(), 100);
  EXPECT_EQ(ledger.IdentityAllowance(7), 10);
  EXPECT_EQ(ledger.entries(), 0);
  EXPECT_EQ(ledger.InUse(At(0)), 0);
}

TEST(UsageLedger, SaysWhatIsInUseThoughNobodyAdvancesIt) {
  UsageLedger ledger({.window = kWindow, .total = 100});
  ledger.Begin(1, {{0, 10}});
  ledger.Begin(2, {{0, 20}});
  ledger.Begin(3, {{0, 30}});
  ledger.End(1, At(0));
  ledger.End(2, At(5));
  EXPECT_EQ(ledger.InUse(At(60) - Duration(1)), 60);
  EXPECT_EQ(ledger.InUse(At(60)), 50);
  EXPECT_EQ(ledger.InUse(At(65)), 30);
  EXPECT_EQ(ledger.TotalAllowance(), 40);
}

TEST(UsageLedger, ReturnsAWatchedIdentityOnce) {
  UsageLedger ledger({.window = kWindow, .per_identity = 10});
  ledger.Begin(1, {{7, 5}, {8, 1}});
  ledger.Begin(2, {{7, 5}});
  ledger.Watch(7);
  ledger.Watch(7);
  ledger.End(1, At(0));
  ledger.End(2, At(1));
  EXPECT_THAT(ledger.Advance(At(59)), IsEmpty());
  EXPECT_THAT(ledger.Advance(At(60)), ElementsAre(7));
  EXPECT_THAT(ledger.Advance(At(61)), IsEmpty());
}

TEST(UsageLedger,
     ReturnsAWatchedIdentityOnceEvenIfEverythingIsReleasedTogether) {
  UsageLedger ledger({.window = kWindow, .per_identity = 10});
  ledger.Begin(1, {{7, 5}});
  ledger.Begin(2, {{7, 5}});
  ledger.Watch(7);
  ledger.End(1, At(0));
  ledger.End(2, At(1));
  EXPECT_THAT(ledger.Advance(At(100)), ElementsAre(7));
}

TEST(UsageLedger, ReturnsAWatchedIdentityThatWasRefunded) {
  UsageLedger ledger({.window = kWindow, .per_identity = 10});
  ledger.Begin(1, {{7, 10}});
  ledger.Watch(7);
  ledger.Refund(1);
  EXPECT_THAT(ledger.Advance(At(0)), ElementsAre(7));
  EXPECT_THAT(ledger.Advance(At(0)), IsEmpty());
}

TEST(UsageLedger, ReturnsOnceAnIdentityRefundedReleasedAndWatchedAgain) {
  UsageLedger ledger({.window = kWindow, .per_identity = 10});
  ledger.Begin(1, {{7, 5}});
  ledger.Begin(2, {{7, 5}});
  ledger.Watch(7);
  ledger.Refund(1);
  ledger.Watch(7);
  ledger.End(2, At(0));
  EXPECT_THAT(ledger.Advance(At(60)), ElementsAre(7));
}

TEST(UsageLedger, SlowsTheTotalDownButLeavesOneUnit) {
  UsageLedger ledger({.window = kWindow, .total = 100, .per_identity = 10});
  ledger.Slow(0.5);
  EXPECT_EQ(ledger.total_limit(), 50);
  ledger.Begin(1, {{7, 10}, {8, 10}});
  EXPECT_EQ(ledger.TotalAllowance(), 30);
  ledger.Slow(0.1);
  EXPECT_EQ(ledger.TotalAllowance(), 0);
  EXPECT_EQ(ledger.IdentityAllowance(9), 10);
  ledger.Slow(1e-9);
  EXPECT_EQ(ledger.total_limit(), 1);
  ledger.Slow(1.0);
  EXPECT_EQ(ledger.TotalAllowance(), 80);
}

TEST(UsageLedger, WithoutLimitsEverythingIsUnlimited) {
  UsageLedger ledger({.window = kWindow});
  ledger.Slow(0.5);
  ledger.Begin(1, {{0, 1'000'000}});
  EXPECT_EQ(ledger.TotalAllowance(), UsageLedger::kUnlimited);
  EXPECT_EQ(ledger.IdentityAllowance(7), UsageLedger::kUnlimited);
  EXPECT_FALSE(ledger.limits_identities());
  EXPECT_EQ(ledger.entries(), 0);
}

// What happened, for a judgement that knows nothing of the ledger: Heap saw an
// attempt at any moment from its beginning to its end.
class Verifier {
 public:
  void Begin(uint64_t attempt, MonotonicTime now, const Usage& usage) {
    seen_.push_back({now, MonotonicTime::max(), usage});
    index_[attempt] = seen_.size() - 1;
  }
  void End(uint64_t attempt, MonotonicTime now) {
    seen_[index_.at(attempt)].end = now;
  }
  void NeverSeen(uint64_t attempt) { seen_[index_.at(attempt)].usage.clear(); }

  // The most units, in all and of one identity, that some window can hold when
  // the moments are chosen for it. The worst window begins as late as one of
  // the attempts still allows.
  std::pair<uint64_t, uint64_t> WorstWindow() const {
    uint64_t worst_total = 0;
    uint64_t worst_identity = 0;
    std::set<MonotonicTime> starts;
    for (const Seen& each : seen_) starts.insert(each.end);
    for (const MonotonicTime start : starts) {
      uint64_t total = 0;
      std::map<uint64_t, uint64_t> identities;
      for (const Seen& each : seen_) {
        const bool before_its_end =
            start == MonotonicTime::max() || each.begin < start + kWindow;
        if (each.end < start || !before_its_end) continue;
        for (const auto& [hash, units] : each.usage) {
          total += units;
          identities[hash] += units;
        }
      }
      worst_total = std::max(worst_total, total);
      for (const auto& [hash, units] : identities) {
        worst_identity = std::max(worst_identity, units);
      }
    }
    return {worst_total, worst_identity};
  }

 private:
  struct Seen {
    MonotonicTime begin;
    MonotonicTime end;
    Usage usage;
  };
  std::vector<Seen> seen_;
  std::map<uint64_t, size_t> index_;
};

TEST(Verifier, FindsWindowsThatHoldTooMuch) {
  Verifier verifier;
  verifier.Begin(1, At(0), {{7, 1}});
  verifier.End(1, At(10));
  verifier.Begin(2, At(69), {{7, 1}});
  verifier.End(2, At(200));
  verifier.Begin(3, At(260), {{8, 1}});
  verifier.End(3, At(261));
  EXPECT_EQ(verifier.WorstWindow(), (std::pair<uint64_t, uint64_t>(2, 2)));
}

class UsageLedgerWorldTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(UsageLedgerWorldTest, NoWindowThatHeapCouldMeasureHoldsTooMuch) {
  constexpr uint32_t kTotal = 40;
  constexpr uint32_t kPerIdentity = 9;
  std::mt19937 random(GetParam());
  const auto below = [&](uint32_t bound) {
    return static_cast<uint32_t>(random() % bound);
  };
  UsageLedger ledger(
      {.window = kWindow, .total = kTotal, .per_identity = kPerIdentity});
  Verifier verifier;
  std::vector<uint64_t> in_flight;
  std::set<uint64_t> watched;
  MonotonicTime now = At(0);
  uint64_t attempts = 0;
  bool was_full = false;

  for (int step = 0; step < 600; ++step) {
    // Often exactly to the moment of the next release.
    if (below(3) == 0 && ledger.NextRelease().has_value()) {
      now = std::max(now, *ledger.NextRelease());
    } else {
      now += seconds(below(8));
    }
    for (const uint64_t hash : ledger.Advance(now)) {
      ASSERT_EQ(watched.erase(hash), 1) << "told without being watched";
      ASSERT_GT(ledger.IdentityAllowance(hash), 0);
    }
    for (const uint64_t hash : watched) {
      ASSERT_EQ(ledger.IdentityAllowance(hash), 0) << "freed and not told";
    }
    if (below(2) == 0) {
      Usage usage;
      uint32_t total = ledger.TotalAllowance();
      for (uint64_t hash = 0; hash < 6; ++hash) {
        const uint32_t most = std::min(total, ledger.IdentityAllowance(hash));
        if (most == 0 || below(2) == 0) continue;
        const uint32_t units = below(2) == 0 ? most : 1 + below(most);
        usage.emplace_back(hash, units);
        total -= units;
      }
      if (usage.empty()) continue;
      ledger.Begin(++attempts, usage);
      verifier.Begin(attempts, now, usage);
      in_flight.push_back(attempts);
      was_full |= ledger.TotalAllowance() == 0;
      for (uint64_t hash = 0; hash < 6; ++hash) {
        if (ledger.IdentityAllowance(hash) > 0) continue;
        ledger.Watch(hash);
        watched.insert(hash);
      }
    } else if (!in_flight.empty()) {
      const size_t at = below(static_cast<uint32_t>(in_flight.size()));
      const uint64_t attempt = in_flight[at];
      in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(at));
      if (below(4) == 0) {
        ledger.Refund(attempt);
        verifier.NeverSeen(attempt);
      } else {
        ledger.End(attempt, now);
        verifier.End(attempt, now);
      }
    }
  }
  const auto [total, identity] = verifier.WorstWindow();
  EXPECT_LE(total, kTotal);
  EXPECT_LE(identity, kPerIdentity);
  EXPECT_TRUE(was_full);

  for (const uint64_t attempt : in_flight) ledger.End(attempt, now);
  ledger.Advance(now + kWindow);
  EXPECT_EQ(ledger.entries(), 0);
  EXPECT_EQ(ledger.InUse(now + kWindow), 0);
  EXPECT_EQ(ledger.TotalAllowance(), kTotal);
  EXPECT_EQ(ledger.IdentityAllowance(0), kPerIdentity);
}

INSTANTIATE_TEST_SUITE_P(Seeds, UsageLedgerWorldTest,
                         ::testing::Range<unsigned>(1, 201));

TEST(UsageLedgerTest, WhatAnAccountUsesIsCountedUntilItComesBack) {
  UsageLedger ledger({.window = seconds(60), .total = 10});
  ledger.Begin(1, {{0, 3}}, /*account=*/7);
  ledger.Begin(2, {{0, 4}}, /*account=*/8);
  ledger.End(1, MonotonicTime(seconds(100)));
  ledger.Advance(MonotonicTime(seconds(159)));
  EXPECT_EQ(ledger.UsedBy(7), 3u);
  ledger.Advance(MonotonicTime(seconds(160)));
  EXPECT_EQ(ledger.UsedBy(7), 0u);
  ledger.Refund(2);
  EXPECT_EQ(ledger.UsedBy(8), 0u);
}

}  // namespace
}  // namespace heapsync
