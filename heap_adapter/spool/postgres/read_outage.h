#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_READ_OUTAGE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_READ_OUTAGE_H_

#include <chrono>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace heapsync {

// Keeps the reads of a database that is away from waiting one after the other:
// once a read has waited in vain, one read a second asks the database, once,
// and all others fail immediately with the last error. Any thread.
class ReadOutage {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // When a read that begins now gives up asking again: `now` if it may ask once
  // only. Errors: that of the last read, which has just failed.
  absl::StatusOr<Time> GiveUpAt(Time now, std::chrono::milliseconds patience);

  // A read got an answer.
  void Ended();
  // A read gave up. `error` is kUnavailable.
  void Failed(const absl::Status& error, Time now);

 private:
  Mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);  // OK: no outage is known
  Time ask_again_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_READ_OUTAGE_H_
