#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_RECENT_PEAK_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_RECENT_PEAK_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "base/clock.h"

namespace heapsync {

// The maximum of a value over the last one to two minutes. Pure; times must not
// go backwards.
class RecentPeak {
 public:
  // Adds `value` and returns the maximum.
  uint64_t Greatest(uint64_t value, Now now) {
    if (now.monotonic - since_ >= 2 * kPeriod) {
      before_ = current_ = 0;
      since_ = now.monotonic;
    } else if (now.monotonic - since_ >= kPeriod) {
      before_ = std::exchange(current_, 0);
      since_ += kPeriod;
    }
    current_ = std::max(current_, value);
    return std::max(current_, before_);
  }

 private:
  static constexpr Duration kPeriod = std::chrono::seconds(60);

  MonotonicTime since_;
  uint64_t current_ = 0;
  uint64_t before_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_RECENT_PEAK_H_
