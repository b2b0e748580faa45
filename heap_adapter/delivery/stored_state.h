#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_STORED_STATE_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_STORED_STATE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "heap_adapter/delivery/destination_queue.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// The usage of Heap's limits by one attempt.
struct StoredUsage {
  AttemptId id;
  UsageRecord record;
  MonotonicTime ended;
  // When it ended was not known, and counts as now: `record` says so and has to
  // be stored, or every start would count it again.
  bool changed = false;
};

// Every usage that the spool holds, by the time of its end. `epoch` is that of
// `now`, see Clock::Epoch(): the ends of attempts of another epoch are not
// known. Errors: those of reading the spool.
absl::StatusOr<std::vector<StoredUsage>> ReadUsage(const Spool& spool, Now now,
                                                   uint64_t epoch);

// The queues of `destinations` with everything that the spool holds for them:
// lanes, deferred items, split plans and pauses. Isolated items are not tried
// before `next_try`. Of `lanes` those of other destinations are left out.
// `destinations` must outlive the result. Errors: those of reading the spool.
absl::StatusOr<std::vector<std::unique_ptr<DestinationQueue>>> ReadQueues(
    const Spool& spool, const std::vector<const Destination*>& destinations,
    const std::vector<StoredLane>& lanes, MonotonicTime next_try);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_STORED_STATE_H_
