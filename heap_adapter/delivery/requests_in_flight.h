#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_REQUESTS_IN_FLIGHT_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_REQUESTS_IN_FLIGHT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "heap_adapter/delivery/attempt.h"
#include "heap_adapter/delivery/delivery_rules.h"
#include "heap_adapter/delivery/region_slots.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// The requests that wait for their responses. It tells which of them hang: soon
// if others wait for them with what they have to send to a failing endpoint,
// later if the endpoint gave no response to anybody meanwhile. Belongs to the
// dispatcher.
class RequestsInFlight {
 public:
  // Both must outlive this.
  RequestsInFlight(const DeliveryRules& rules, const RegionSlots& slots)
      : rules_(rules), slots_(slots) {}

  size_t size() const { return attempts_.size(); }
  void Add(Attempt attempt);
  // It has its response. REQUIRES: it is there.
  Attempt Take(AttemptId id, MonotonicTime now);
  // The response shows that Heap is there.
  void GotThrough(const Attempt& attempt, MonotonicTime now);
  // The requests of a lane, by id.
  std::vector<InFlightAttempt> OfLane(LaneId lane) const;

  struct Overdue {
    // Have begun to hang, by id, valid until the next change; their roles are
    // still those of before.
    std::vector<Attempt*> hanging;
    // Hang, and are worth no more waiting, because others got through since.
    std::vector<AttemptId> given_up;
  };
  Overdue FindOverdue(MonotonicTime now);
  // When FindOverdue() may find some; never: MonotonicTime::max().
  MonotonicTime next_overdue() const { return next_overdue_; }
  // An endpoint has begun to fail: FindOverdue() has to look at all.
  void LookAgain(MonotonicTime now) {
    next_overdue_ = std::min(next_overdue_, now);
  }
  void SetHanging(Attempt& attempt);
  // Gives up the oldest request of a lane that hangs and whose items may be
  // sent again in probes, though nothing got through since: a first try that
  // takes much longer than any before it, and not the only item of the lane in
  // flight. None if there is none, or one given up before has not ended.
  std::optional<AttemptId> GiveUpOldest(const QueuedLane& lane,
                                        MonotonicTime now);
  // Items in the requests of a lane.
  uint64_t ItemsOf(const QueuedLane& lane) const;
  // True if others wait for the attempt with what they have to send to a
  // failing endpoint.
  bool Fails(const Attempt& attempt) const;

 private:
  struct OfEndpoint {
    MonotonicTime last_response;  // any
    MonotonicTime last_reached;   // when a request got through
    Duration latency{0};          // of that
  };

  OfEndpoint& Of(Endpoint endpoint) {
    return endpoints_[IndexOf(endpoint.region)][IndexOf(endpoint.type)];
  }
  const OfEndpoint& Of(Endpoint endpoint) const {
    return endpoints_[IndexOf(endpoint.region)][IndexOf(endpoint.type)];
  }
  // The age at which it hangs, unless it has its response before.
  Duration HangsAfter(const Attempt& attempt) const;
  // When one that hangs is given up; none: not before its time-out.
  std::optional<MonotonicTime> GivesUpAt(const Attempt& attempt) const;

  const DeliveryRules& rules_;
  const RegionSlots& slots_;
  absl::flat_hash_map<AttemptId, Attempt> attempts_;
  size_t hanging_ = 0;  // of them
  MonotonicTime next_overdue_ = MonotonicTime::max();
  std::array<std::array<OfEndpoint, kObjectTypes.size()>, kRegions.size()>
      endpoints_{};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_REQUESTS_IN_FLIGHT_H_
