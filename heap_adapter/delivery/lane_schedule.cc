#include "heap_adapter/delivery/lane_schedule.h"

namespace heapsync {

void LaneSchedule::Enqueue(ScheduledLane& lane) {
  if (lane.queued) return;
  lane.queued = true;
  ready_.push_back(&lane);
}

void LaneSchedule::WakeAt(ScheduledLane& lane, MonotonicTime time) {
  if (lane.wake_at.has_value()) {
    if (*lane.wake_at <= time) return;
    wakes_.erase({*lane.wake_at, &lane});
  }
  lane.wake_at = time;
  wakes_.emplace(time, &lane);
}

void LaneSchedule::WakeDue(MonotonicTime now) {
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    ScheduledLane& lane = *wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    lane.wake_at.reset();
    Enqueue(lane);
  }
}

std::optional<MonotonicTime> LaneSchedule::NextWake() const {
  if (wakes_.empty()) return std::nullopt;
  return wakes_.begin()->first;
}

LaneId LaneSchedule::TakeReady() {
  ScheduledLane& lane = *ready_.front();
  ready_.pop_front();
  lane.queued = false;
  return lane.id;
}

}  // namespace heapsync
