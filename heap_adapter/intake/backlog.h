#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace heapsync {

// Backlog of one destination: what the dispatcher last saw, and what was
// admitted and is on its way there. The dispatcher writes the former, any
// thread reserves and reads.
class Backlog {
 public:
  // Admitted bytes that the dispatcher does not count yet. It must hold this
  // until it does. Released by the destructor; any thread. The backlog must
  // outlive it.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : backlog_(std::exchange(other.backlog_, nullptr)),
          bytes_(other.bytes_) {}
    Reservation& operator=(Reservation&& other) noexcept {
      std::swap(backlog_, other.backlog_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Reservation() {
      if (backlog_ == nullptr) return;
      backlog_->reserved_.fetch_sub(bytes_, std::memory_order_release);
    }

   private:
    friend class Backlog;
    Reservation(Backlog& backlog, uint64_t bytes)
        : backlog_(&backlog), bytes_(bytes) {}

    Backlog* backlog_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // Reserves `bytes` if the backlog has at most `max` bytes with them; none if
  // it would have more. Any thread.
  std::optional<Reservation> Reserve(uint64_t bytes, uint64_t max) {
    // The dispatcher counts bytes before it gives their reservation back, so
    // that in this order none is missed; some may be counted twice.
    uint64_t reserved = reserved_.load(std::memory_order_acquire);
    do {
      const uint64_t counted = bytes_.load(std::memory_order_relaxed);
      if (counted + reserved + bytes > max) return std::nullopt;
    } while (!reserved_.compare_exchange_weak(reserved, reserved + bytes,
                                              std::memory_order_acq_rel,
                                              std::memory_order_acquire));
    return Reservation(*this, bytes);
  }

  void SetBytes(uint64_t bytes) {
    bytes_.store(bytes, std::memory_order_relaxed);
  }
  // For what another server counts later. Any thread.
  void AddBytes(uint64_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void SetForecast(std::optional<Duration> drained_in) {
    drained_in_.store(drained_in.value_or(Duration(-1)).count(),
                      std::memory_order_relaxed);
  }

  // Bytes of text neither delivered nor dead-lettered.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // See SetForecast().
  std::optional<Duration> drained_in() const {
    const Duration drained(drained_in_.load(std::memory_order_relaxed));
    if (drained < Duration::zero()) return std::nullopt;
    return drained;
  }

  // Time that a caller should wait before it asks for space again: until
  // about one hundredth of the backlog is gone at the present pace.
  Duration RetryAfter() const {
    constexpr Duration kMin = std::chrono::seconds(1);
    constexpr Duration kMost = std::chrono::minutes(10);
    constexpr Duration kUnknown = std::chrono::seconds(30);
    const std::optional<Duration> drained = drained_in();
    if (!drained.has_value()) return kUnknown;
    return std::clamp(*drained / 100, kMin, kMost);
  }

 private:
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> reserved_{0};
  std::atomic<Duration::rep> drained_in_{-1};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_
