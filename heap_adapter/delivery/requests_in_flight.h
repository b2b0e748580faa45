#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_REQUESTS_IN_FLIGHT_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_REQUESTS_IN_FLIGHT_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "heap_adapter/delivery/attempt.h"
#include "heap_adapter/delivery/region_slots.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// The requests that wait for their responses. Of those that others wait for,
// with what they have to send to a failing endpoint, it tells which hang.
// Belongs to the dispatcher.
class RequestsInFlight {
 public:
  // A request hangs after this time. `slots` must outlive this.
  RequestsInFlight(Duration hangs_after, const RegionSlots& slots)
      : hangs_after_(hangs_after), slots_(slots) {}

  size_t size() const { return attempts_.size(); }
  void Add(Attempt attempt);
  // REQUIRES: it is there.
  Attempt Take(AttemptId id);
  // The requests of a lane, by id.
  std::vector<InFlightAttempt> OfLane(LaneId lane) const;

  // Those that have begun to hang, by id, valid until the next change; their
  // roles are still those of before.
  std::vector<Attempt*> FindHanging(MonotonicTime now);
  // When FindHanging() may find some; never: MonotonicTime::max().
  MonotonicTime next_hanging() const { return next_hanging_; }
  // An endpoint has begun to fail: FindHanging() has to look at all.
  void LookAgain(MonotonicTime now) {
    next_hanging_ = std::min(next_hanging_, now);
  }

 private:
  bool Fails(const Attempt& attempt) const;

  const Duration hangs_after_;
  const RegionSlots& slots_;
  absl::flat_hash_map<AttemptId, Attempt> attempts_;
  MonotonicTime next_hanging_ = MonotonicTime::max();
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_REQUESTS_IN_FLIGHT_H_
