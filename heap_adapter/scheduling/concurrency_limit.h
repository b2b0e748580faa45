#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CONCURRENCY_LIMIT_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CONCURRENCY_LIMIT_H_

#include <algorithm>

#include "heap_adapter/base/clock.h"

namespace heapsync {

// How many requests one destination may have in flight: additive increase while
// answers come quickly, multiplicative decrease when they slow down or fail.
// Pure; one thread.
class ConcurrencyLimit {
 public:
  // `most` bounds what a destination can take of the shared slots. Larger: more
  // throughput where round trips are long. REQUIRES: at least one.
  explicit ConcurrencyLimit(int most)
      : most_(most), limit_(std::min(2, most)) {}

  int limit() const { return limit_; }

  // A request was answered well after `latency`.
  void OnSuccess(Duration latency) {
    // The floor follows the quickest answers and drifts up slowly, so that a
    // lasting change of the path is learnt.
    floor_ = floor_ == Duration::zero()
                 ? latency
                 : std::min(latency, floor_ + floor_ / 64 + Duration(1));
    if (latency > 4 * floor_ + kTolerance) {
      OnTrouble();
    } else if (++successes_ >= limit_) {
      successes_ = 0;
      limit_ = std::min(limit_ + 1, most_);
    }
  }

  // Heap throttled, failed or did not answer.
  void OnTrouble() {
    successes_ = 0;
    limit_ = std::max(1, limit_ / 2);
  }

 private:
  static constexpr Duration kTolerance = std::chrono::milliseconds(250);

  const int most_;
  int limit_;
  int successes_ = 0;
  Duration floor_ = Duration::zero();
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CONCURRENCY_LIMIT_H_
