#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_DEAD_LETTER_COUNTER_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_DEAD_LETTER_COUNTER_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Dead letters of one lane that came, or went (below zero), and the bytes of
// their records.
struct DeadLetterDelta {
  LaneId lane = 0;
  int64_t letters = 0;
  int64_t bytes = 0;
  CountsByReason<int64_t> by_reason{};
};

// Counts the dead letters of a store, by what is committed. Take() may be
// called from any thread, the rest by the one that commits.
class DeadLetterCounter {
 public:
  using Deltas = absl::flat_hash_map<LaneId, DeadLetterDelta>;

  // `store` must outlive it.
  explicit DeadLetterCounter(const Store& store) : store_(store) {}

  // Counts what is stored again. Errors: those of reading.
  absl::Status Measure();
  // The letters that a batch adds and removes, before it is written; to be
  // added once it is.
  Deltas In(const StoreBatch& batch) const;
  void Add(const Deltas& deltas);

  // The changes since the last call, and at the first one after Measure() all
  // that are stored.
  std::vector<DeadLetterDelta> Take();

 private:
  const Store& store_;
  Mutex mutex_;
  Deltas deltas_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_DEAD_LETTER_COUNTER_H_
