#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CALLER_SHARES_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CALLER_SHARES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "heap_adapter/base/clock.h"
#include "heap_adapter/scheduling/even_pacer.h"
#include "heap_adapter/scheduling/recent_peak.h"
#include "heap_adapter/scheduling/usage_ledger.h"

namespace heapsync {

// Shares a total limit out among callers, each an account of the ledger that
// keeps it. An equal share of the limit is there for each at once. What others
// leave of theirs may be taken too, but evenly over the window, and not the
// last of it: what a caller used lately, and a small part for those that are
// new, stays free for them.
//
// A caller that is alone, or under no limit, is held back by the ledger only.
//
// Pure; one thread. Times must not go backwards.
class CallerShares {
 public:
  // REQUIRES: it was not added before.
  void Add(uint32_t caller) { callers_.emplace_back(caller, RecentPeak{}); }

  // The units that `caller` may begin now. REQUIRES: Add(caller);
  // ledger.Advance(now).
  uint32_t Allowance(const UsageLedger& ledger, uint32_t caller, Now now);

  // After a caller began, of what Allowance() gave last: the ledger's UsedBy()
  // of it before and since.
  void OnBegun(const UsageLedger& ledger, uint64_t used_before,
               uint64_t used_since, MonotonicTime now);

  // When more than its share may be taken again by one that was held back for
  // the sake of evenness.
  MonotonicTime next() const { return beyond_.next(); }

 private:
  uint64_t Share(const UsageLedger& ledger) const;

  std::vector<std::pair<uint32_t, RecentPeak>> callers_;  // and what they used
  EvenPacer beyond_;  // what they take beyond their shares
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CALLER_SHARES_H_
