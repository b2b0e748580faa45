#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_EVEN_PACER_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_EVEN_PACER_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "heap_adapter/scheduling/usage_ledger.h"

namespace heapsync {

// Spreads the usage of a limit evenly over its window, so that some of it is
// released all the time: a new caller then waits seconds for a part of it,
// instead of a whole window after a burst. The full limit can still be used.
//
// Pure; one thread. Times must not go backwards.
class EvenPacer {
 public:
  // Number of the `free` units of `ledger` that may be taken at `now`. Zero
  // before next().
  uint64_t Allowance(const UsageLedger& ledger, uint64_t free,
                     MonotonicTime now) {
    if (free == 0 || now < next_) return 0;
    pace_ = kPaceMargin * ledger.EvenPace(free, now, kMinWait);
    return std::clamp<uint64_t>(static_cast<uint64_t>(pace_), 1, free);
  }

  // Must be called after `units` of the last Allowance() were taken.
  void OnTaken(uint64_t units, MonotonicTime now) {
    if (units == 0 || pace_ <= 0) return;
    const std::chrono::duration<double> time(static_cast<double>(units) /
                                             pace_);
    next_ = now + std::chrono::duration_cast<Duration>(time);
  }

  MonotonicTime next() const { return next_; }

 private:
  // Factor by which the pace exceeds an even one. At one, a delay is never made
  // up for. Larger: the limit may be used up before the end of a window.
  static constexpr double kPaceMargin = 1.15;
  // A shorter wait for the next release does not slow the pace, because units
  // taken in steps are released in steps. Smaller: less of the limit is used.
  static constexpr Duration kMinWait = std::chrono::seconds(5);

  double pace_ = 0;  // units per second
  MonotonicTime next_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_EVEN_PACER_H_
