#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_DEAD_LETTER_USAGE_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_DEAD_LETTER_USAGE_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

struct DeadLetterTotals {
  uint64_t letters = 0;
  uint64_t bytes = 0;  // of their records
  CountsByReason<uint64_t> by_reason{};
};

// Numbers and sizes of the dead letters of each lane and each destination. Any
// thread.
class DeadLetterUsage {
 public:
  // `destination` is that of the delta's lane.
  void Add(absl::string_view destination, const DeadLetterDelta& delta);

  // Forgets everything.
  void Clear();

  DeadLetterTotals Of(absl::string_view destination) const;
  // The totals of each lane that has some.
  std::vector<std::pair<LaneId, DeadLetterTotals>> Lanes() const;
  // The sum over all destinations. Takes no lock.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // False once the destination's dead letters take `max_bytes`, or those of
  // this lane alone half of it: a caller whose items become dead letters is
  // stopped before it stops the others.
  bool HasRoom(absl::string_view destination, LaneId lane,
               uint64_t max_bytes) const;

 private:
  std::atomic<uint64_t> bytes_{0};
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, DeadLetterTotals> destinations_
      ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<LaneId, DeadLetterTotals> lanes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_DEAD_LETTER_USAGE_H_
