#ifndef HEAPSYNC_SERVER_ACCESS_TOKEN_BUCKET_H_
#define HEAPSYNC_SERVER_ACCESS_TOKEN_BUCKET_H_

#include <algorithm>
#include <chrono>

#include "heap_adapter/base/clock.h"

namespace heapsync {

// Rate limit for the items of a caller: a bucket that holds up to `burst` items
// and is refilled with `per_second`. It can go into debt, so that a message
// that was already received is taken completely and the next one waits. Not
// thread-safe.
class TokenBucket {
 public:
  // REQUIRES: both are above zero. The bucket starts full.
  TokenBucket(double per_second, double burst)
      : per_second_(per_second), burst_(burst), level_(burst) {}

  // Takes `items` if that causes no debt. More items than the bucket can hold
  // are taken if it is full, because they could never be sent otherwise.
  bool TryTake(double items, MonotonicTime now) {
    Refill(now);
    if (level_ < std::min(items, burst_)) return false;
    level_ -= items;
    return true;
  }

  // Takes `items` unconditionally.
  void Take(double items, MonotonicTime now) {
    Refill(now);
    level_ -= items;
  }

  // Time until the bucket holds `items`, or is full; zero if it already is.
  Duration TimeUntil(double items, MonotonicTime now) {
    Refill(now);
    const double missing = std::min(items, burst_) - level_;
    if (missing <= 0) return Duration::zero();
    // A rate close to zero must not leave the range of Duration.
    const double seconds = std::min(missing / per_second_, 86'400.0);
    return Duration(static_cast<Duration::rep>(seconds * 1e6) + 1);
  }

 private:
  void Refill(MonotonicTime now) {
    if (now <= refilled_) return;
    if (refilled_ != MonotonicTime()) {
      const double seconds =
          std::chrono::duration<double>(now - refilled_).count();
      level_ = std::min(burst_, level_ + seconds * per_second_);
    }
    refilled_ = now;
  }

  const double per_second_;
  const double burst_;
  double level_;
  MonotonicTime refilled_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ACCESS_TOKEN_BUCKET_H_
