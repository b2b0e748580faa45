#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/base/clock.h"

namespace heapsync {

// How much waits for one destination, as the dispatcher last saw it. The
// dispatcher writes, any thread reads.
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

  // How long a caller should wait before it asks for space again: until about
  // one part in a hundred of the backlog is gone, if it goes on as now.
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

// Why items were refused that may be accepted later.
enum class Refusal {
  kDiskNearlyFull,
  kDestinationFull,  // the destination's own part of the spool is used up
};

// A kResourceExhausted that tells when to ask again.
inline absl::Status Refused(Refusal refusal, Duration ask_again_in,
                            absl::string_view message) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload("heapsync/refusal",
                    absl::Cord(absl::StrCat(static_cast<int>(refusal))));
  status.SetPayload("heapsync/ask_again_in_us",
                    absl::Cord(absl::StrCat(ask_again_in.count())));
  return status;
}

// What Refused() put into a status; none in others.
inline std::optional<Refusal> RefusalOf(const absl::Status& status) {
  int number = 0;
  const auto payload = status.GetPayload("heapsync/refusal");
  if (!payload.has_value() ||
      !absl::SimpleAtoi(std::string(*payload), &number)) {
    return std::nullopt;
  }
  return static_cast<Refusal>(number);
}
inline std::optional<Duration> AskAgainIn(const absl::Status& status) {
  int64_t microseconds = 0;
  const auto payload = status.GetPayload("heapsync/ask_again_in_us");
  if (!payload.has_value() ||
      !absl::SimpleAtoi(std::string(*payload), &microseconds)) {
    return std::nullopt;
  }
  return Duration(microseconds);
}

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_BACKLOG_H_
