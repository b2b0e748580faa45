#include "heap_adapter/scheduling/even_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

MonotonicTime At(int64_t second) { return MonotonicTime(seconds(second)); }

UsageLedger LedgerOf(uint32_t total) {
  return UsageLedger({.window = seconds(60), .total = total});
}

TEST(EvenPace, SpreadsWhatIsFreeUntilSomeComesBack) {
  UsageLedger ledger = LedgerOf(1'000);
  EXPECT_DOUBLE_EQ(ledger.EvenPace(600, At(0), seconds(10)), 10);
  ledger.Begin(1, {{0, 400}});
  ledger.End(1, At(0));
  // 600 have to do for 30 seconds.
  EXPECT_DOUBLE_EQ(ledger.EvenPace(600, At(30), seconds(10)), 1'000.0 / 60);
  EXPECT_DOUBLE_EQ(ledger.EvenPace(300, At(30), seconds(10)), 10);
  // So soon that it is as if it were back.
  EXPECT_DOUBLE_EQ(ledger.EvenPace(0, At(55), seconds(10)), 400.0 / 60);
}

TEST(EvenPacer, TakesNothingBeforeItsTime) {
  UsageLedger ledger = LedgerOf(600);
  EvenPacer pacer;
  EXPECT_EQ(pacer.Allowance(ledger, 0, At(0)), 0);
  const uint64_t first = pacer.Allowance(ledger, 600, At(0));
  EXPECT_EQ(first, 11);  // ten a second and a little haste
  pacer.OnTaken(first, At(0));
  EXPECT_GT(pacer.next(), At(0) + milliseconds(900));
  EXPECT_LE(pacer.next(), At(1));
  EXPECT_EQ(pacer.Allowance(ledger, 589, pacer.next() - Duration(1)), 0);
  EXPECT_GT(pacer.Allowance(ledger, 589, pacer.next()), 0);
}

// After half of the limit went in a burst, the rest lasts almost until that
// comes back, and from then on all of it is used.
TEST(EvenPacer, LeavesNoLongGapAndUsesAll) {
  UsageLedger ledger = LedgerOf(15'000);
  EvenPacer pacer;
  ledger.Begin(1, {{0, 7'500}});
  ledger.End(1, At(0));
  uint64_t attempt = 1;
  uint64_t taken = 0;
  MonotonicTime last = At(0);
  Duration max_gap(0);
  for (MonotonicTime now = At(0); now < At(600); now += milliseconds(10)) {
    ledger.Advance(now);
    const uint64_t units =
        pacer.Allowance(ledger, ledger.TotalAllowance(), now);
    if (units == 0) continue;
    pacer.OnTaken(units, now);
    ledger.Begin(++attempt, {{0, static_cast<uint32_t>(units)}});
    ledger.End(attempt, now);
    max_gap = std::max(max_gap, now - last);
    last = now;
    if (now >= At(120) && now < At(540)) taken += units;
  }
  EXPECT_LE(max_gap, seconds(5));
  EXPECT_GE(taken, 15'000u * 7 * 99 / 100);
}

}  // namespace
}  // namespace heapsync
