#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CALLER_SHARES_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CALLER_SHARES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "heap_adapter/scheduling/even_pacer.h"
#include "heap_adapter/scheduling/recent_peak.h"
#include "heap_adapter/scheduling/usage_ledger.h"

namespace heapsync {

// Divides a total limit among callers, each of which is an account of the
// ledger that enforces it. Each caller may use an equal share of the limit
// immediately. A caller may also use what others leave of their shares, but
// only paced evenly over the window, and not all of it: the amount that each
// other caller used recently stays free for it, and a small part stays free for
// new callers.
//
// A single caller, or one without a limit, is restricted by the ledger only.
//
// Pure; one thread. Times must not go backwards.
class CallerShares {
 public:
  // REQUIRES: `caller` was not added before.
  void Add(uint32_t caller) { callers_.emplace_back(caller, RecentPeak{}); }

  // Units that `caller` may begin now. REQUIRES: Add(caller) and
  // ledger.Advance(now) were called.
  uint32_t Allowance(const UsageLedger& ledger, uint32_t caller, Now now);

  // Must be called after a caller began units of the last Allowance().
  // `used_before` and `used_since` are the ledger's UsedBy() of the caller
  // before and after.
  void OnBegun(const UsageLedger& ledger, uint64_t used_before,
               uint64_t used_since, MonotonicTime now);

  // When a caller may again use more than its share, after the pacing stopped
  // it.
  MonotonicTime next() const { return beyond_.next(); }

 private:
  uint64_t Share(const UsageLedger& ledger) const;

  std::vector<std::pair<uint32_t, RecentPeak>> callers_;  // with their usage
  EvenPacer beyond_;  // paces usage beyond the shares
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CALLER_SHARES_H_
