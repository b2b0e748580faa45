#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_EVEN_PACER_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_EVEN_PACER_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "heap_adapter/base/clock.h"
#include "heap_adapter/scheduling/usage_ledger.h"

namespace heapsync {

// Spreads what is taken from a limit over its window, so that some of it comes
// back all the time: whoever is new then waits seconds for a part of it, not
// until a burst is a window old. All of the limit can still be used.
//
// Pure; one thread. Times must not go backwards.
class EvenPacer {
 public:
  // Of the `free` units of `ledger`: how many may be taken at `now`. Zero
  // before next().
  uint64_t Allowance(const UsageLedger& ledger, uint64_t free,
                     MonotonicTime now) {
    if (free == 0 || now < next_) return 0;
    pace_ = kPaceMargin * ledger.EvenPace(free, now, kShortestWait);
    return std::clamp<uint64_t>(static_cast<uint64_t>(pace_), 1, free);
  }

  // So many of what Allowance() gave last were taken.
  void OnTaken(uint64_t units, MonotonicTime now) {
    if (units == 0 || pace_ <= 0) return;
    const std::chrono::duration<double> time(static_cast<double>(units) /
                                             pace_);
    next_ = now + std::chrono::duration_cast<Duration>(time);
  }

  MonotonicTime next() const { return next_; }

 private:
  // How much quicker than evenly. One: what is late is never made up for. More:
  // the last part of a window may find all used.
  static constexpr double kPaceMargin = 1.15;
  // Waits for a next release that are shorter do not slow the pace: what is
  // taken step by step comes back in steps. Shorter: less of the limit is used.
  static constexpr Duration kShortestWait = std::chrono::seconds(5);

  double pace_ = 0;  // units per second
  MonotonicTime next_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_EVEN_PACER_H_
