#ifndef HEAPSYNC_TESTS_FAKE_HEAP_SLIDING_SUM_H_
#define HEAPSYNC_TESTS_FAKE_HEAP_SLIDING_SUM_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "base/clock.h"

namespace heapsync::fake_heap {

// The sum of what was added in the window that ends now, now included and the
// moment one window ago not. As a fullest window always ends at an addition,
// looking after each addition sees the fullest one. Time must not run
// backwards. Holds one entry for each addition that is still in the window.
class SlidingSum {
 public:
  uint32_t At(MonotonicTime now, Duration window) {
    while (head_ < entries_.size() && entries_[head_].time <= now - window) {
      sum_ -= entries_[head_].amount;
      ++head_;
    }
    // Forgotten entries are cut off when they are most of it, so that each one
    // is moved about once.
    if (head_ * 2 >= entries_.size() && head_ > 0) {
      entries_.erase(entries_.begin(),
                     entries_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    return sum_;
  }

  uint32_t Add(uint32_t amount, MonotonicTime now, Duration window) {
    At(now, window);
    if (head_ < entries_.size() && entries_.back().time == now) {
      entries_.back().amount += amount;
    } else {
      entries_.push_back({now, amount});
    }
    sum_ += amount;
    return sum_;
  }

 private:
  struct Entry {
    MonotonicTime time;
    uint32_t amount;
  };
  absl::InlinedVector<Entry, 1> entries_;
  size_t head_ = 0;
  uint32_t sum_ = 0;
};

}  // namespace heapsync::fake_heap

#endif  // HEAPSYNC_TESTS_FAKE_HEAP_SLIDING_SUM_H_
