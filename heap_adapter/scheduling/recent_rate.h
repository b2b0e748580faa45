#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_RECENT_RATE_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_RECENT_RATE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace heapsync {

// Average rate over the last minute, for display and forecasts. Pure; times
// must not go backwards.
class RecentRate {
 public:
  void Add(uint64_t units, MonotonicTime now) {
    if (!first_.has_value()) first_ = now;
    Bucket& bucket = buckets_[Number(now) % kBuckets];
    if (bucket.number != Number(now)) {
      bucket = {.number = Number(now), .units = 0};
    }
    bucket.units += units;
  }

  // Units per second; zero if there were none.
  double PerSecond(MonotonicTime now) const {
    if (!first_.has_value()) return 0;
    uint64_t units = 0;
    for (const Bucket& bucket : buckets_) {
      if (bucket.number + kBuckets > Number(now)) units += bucket.units;
    }
    const Duration over =
        std::clamp<Duration>(now - *first_, std::chrono::seconds(1), kWindow);
    return static_cast<double>(units) /
           std::chrono::duration<double>(over).count();
  }

 private:
  static constexpr uint64_t kBuckets = 12;
  static constexpr Duration kWindow = std::chrono::seconds(60);

  struct Bucket {
    uint64_t number = 0;
    uint64_t units = 0;
  };

  // Starts at kBuckets, so that unused buckets are always too old.
  static uint64_t Number(MonotonicTime time) {
    return kBuckets + static_cast<uint64_t>(time.time_since_epoch() /
                                            (kWindow / kBuckets));
  }

  std::array<Bucket, kBuckets> buckets_{};
  std::optional<MonotonicTime> first_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_RECENT_RATE_H_
