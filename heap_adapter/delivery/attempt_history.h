#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_ATTEMPT_HISTORY_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_ATTEMPT_HISTORY_H_

#include <cstdint>
#include <deque>
#include <utility>

#include "absl/status/status.h"
#include "base/clock.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// The attempts that the spool remembers: numbers them, and forgets those that
// are too many and what they took from limits once no window reaches back to
// them. Never waits for the disk to write: what changes goes into the caller's
// change. One thread; the spool must outlive this.
class AttemptHistory {
 public:
  // The newest `max_kept` attempts are remembered, for receipts, and a few
  // more.
  AttemptHistory(const Spool& spool, uint64_t max_kept)
      : spool_(spool), max_kept_(max_kept) {}

  // Goes on where the spool's last process ended. Call once, first. Errors:
  // those of reading the spool.
  absl::Status Recover();

  // Greater than all before, over restarts too; grows with the time.
  AttemptId NextId(WallTime now);

  void Add(AttemptId id, const AttemptRecord& record, SpoolChange& change);

  // The attempt ended then, and has a usage record. REQUIRES: in the order of
  // these times.
  void EndUsage(AttemptId id, MonotonicTime ended);

  // Forgets a little of what there is to forget.
  void Prune(MonotonicTime now, SpoolChange& change);

 private:
  const Spool& spool_;
  const uint64_t max_kept_;
  AttemptId last_ = 0;
  uint64_t kept_ = 0;
  AttemptId oldest_kept_ = 0;
  std::deque<std::pair<MonotonicTime, AttemptId>> usage_;  // by end
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_ATTEMPT_HISTORY_H_
