#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "heap_adapter/base/clock.h"

namespace heapsync {

// Backlog of one destination, as the dispatcher last saw it. The dispatcher
// writes, any thread reads.
class Backlog {
 public:
  void SetBytes(uint64_t bytes) {
    bytes_.store(bytes, std::memory_order_relaxed);
  }
  void SetForecast(std::optional<Duration> drained_in) {
    drained_in_.store(drained_in.value_or(Duration(-1)).count(),
                      std::memory_order_relaxed);
  }

  // Bytes of text neither delivered nor dead-lettered.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Time that a caller should wait before it asks for space again: until
  // about one hundredth of the backlog is gone at the present pace.
  Duration RetryAfter() const {
    constexpr Duration kMin = std::chrono::seconds(1);
    constexpr Duration kMost = std::chrono::minutes(10);
    constexpr Duration kUnknown = std::chrono::seconds(30);
    const Duration drained(drained_in_.load(std::memory_order_relaxed));
    if (drained < Duration::zero()) return kUnknown;
    return std::clamp(drained / 100, kMin, kMost);
  }

 private:
  std::atomic<uint64_t> bytes_{0};
  std::atomic<Duration::rep> drained_in_{-1};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_
