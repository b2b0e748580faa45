#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_ADMISSION_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_ADMISSION_H_

#include <optional>

#include "absl/status/status.h"
#include "base/clock.h"

namespace heapsync {

// The answer to an append: OK, or why the items were not queued.
struct Admission {
  enum class Limit {
    kNone,
    kDisk,         // the server's disk is nearly full
    kDestination,  // the destination's own part of the spool is used up
    kDeadLetters,  // the destination, or this lane, has too many of them
  };

  absl::Status status;
  // With kResourceExhausted: the limit that was reached, and how long to wait
  // before another try, where that is known.
  Limit limit = Limit::kNone;
  std::optional<Duration> retry_after;

  bool ok() const { return status.ok(); }
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_ADMISSION_H_
