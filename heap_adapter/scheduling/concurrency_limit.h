#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CONCURRENCY_LIMIT_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CONCURRENCY_LIMIT_H_

#include <algorithm>

#include "base/clock.h"

namespace heapsync {

// Limit of the requests in flight to one destination: additive increase while
// responses are fast, multiplicative decrease when they are slow or fail. Pure;
// one thread.
class ConcurrencyLimit {
 public:
  // `max` bounds the shared slots that one destination can use. Larger: more
  // throughput if round trips are long. REQUIRES: `max` is at least one.
  explicit ConcurrencyLimit(int max) : max_(max), limit_(std::min(2, max)) {}

  int limit() const { return limit_; }

  // Must be called for a request that succeeded after `latency`.
  void OnSuccess(Duration latency) {
    // The floor follows the fastest responses and drifts up slowly, so that it
    // adapts to a lasting change of the network path.
    floor_ = floor_ == Duration::zero()
                 ? latency
                 : std::min(latency, floor_ + floor_ / 64 + Duration(1));
    if (latency > 4 * floor_ + kTolerance) {
      OnTrouble();
    } else if (++successes_ >= limit_) {
      successes_ = 0;
      limit_ = std::min(limit_ + 1, max_);
    }
  }

  // Must be called for a request that was throttled, failed or timed out.
  void OnTrouble() {
    successes_ = 0;
    limit_ = std::max(1, limit_ / 2);
  }

 private:
  static constexpr Duration kTolerance = std::chrono::milliseconds(250);

  const int max_;
  int limit_;
  int successes_ = 0;
  Duration floor_ = Duration::zero();
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_CONCURRENCY_LIMIT_H_
