#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_SCHEDULE_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_SCHEDULE_H_

#include <deque>
#include <optional>
#include <utility>

#include "absl/container/btree_set.h"
#include "base/clock.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// A lane's place in the schedule.
struct ScheduledLane {
  explicit ScheduledLane(LaneId lane_id) : id(lane_id) {}
  const LaneId id;
  bool queued = false;  // stands in a line, of the schedule or of a region
  std::optional<MonotonicTime> wake_at;
};

// Which lane is looked at next: first come, first served, and at a time that
// was asked for. Holds pointers to lanes, which must outlive it. One thread.
class LaneSchedule {
 public:
  // The lane goes to the end of the line, unless it stands in one already.
  void Enqueue(ScheduledLane& lane);
  // The lane stands in another line until Offer() or OfferFirst().
  void Park(ScheduledLane& lane) { lane.queued = true; }
  // A parked lane goes to the end, or to the front, of the line.
  void Offer(ScheduledLane& lane) { ready_.push_back(&lane); }
  void OfferFirst(ScheduledLane& lane) { ready_.push_front(&lane); }

  // Enqueues the lane at `time`, or at an earlier time asked for before.
  void WakeAt(ScheduledLane& lane, MonotonicTime time);
  // Enqueues the lanes whose time has come.
  void WakeDue(MonotonicTime now);
  // The next time that a lane is to be woken; none if none is.
  std::optional<MonotonicTime> NextWake() const;

  bool HasReady() const { return !ready_.empty(); }
  // Takes the first lane out of the line. REQUIRES: HasReady().
  LaneId TakeReady();

 private:
  // Lanes are ordered by id, not by address, so that a run can be repeated.
  struct ByTimeAndId {
    using Wake = std::pair<MonotonicTime, ScheduledLane*>;
    bool operator()(const Wake& a, const Wake& b) const {
      return std::pair(a.first, a.second->id) <
             std::pair(b.first, b.second->id);
    }
  };

  std::deque<ScheduledLane*> ready_;
  absl::btree_set<ByTimeAndId::Wake, ByTimeAndId> wakes_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_SCHEDULE_H_
