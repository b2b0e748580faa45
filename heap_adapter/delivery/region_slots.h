#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_

#include <array>
#include <deque>
#include <optional>

#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// The slots of each region, one for each of its requests in flight, and the
// lanes that wait for one: first come, first served. A region that hangs keeps
// its own slots, and none of another's. One thread.
class RegionSlots {
 public:
  explicit RegionSlots(int slots_per_region) : slots_(slots_per_region) {}

  bool full(Region region) const { return Of(region).in_use >= slots_; }

  // REQUIRES: not full(region).
  void Take(Region region) { ++Of(region).in_use; }
  // REQUIRES: a slot of it was taken.
  void GiveBack(Region region) { --Of(region).in_use; }

  // The lane gets no slot now, and stands in the line of its region.
  // REQUIRES: it stands in no line.
  void Wait(Region region, LaneId lane) { Of(region).waiting.push_back(lane); }
  // The lane that waited longest, if there is a slot for it, which it does not
  // take by that: it may have nothing to send any more.
  std::optional<LaneId> Offer(Region region) {
    std::deque<LaneId>& waiting = Of(region).waiting;
    if (waiting.empty() || full(region)) return std::nullopt;
    const LaneId lane = waiting.front();
    waiting.pop_front();
    return lane;
  }

 private:
  struct Slots {
    int in_use = 0;
    std::deque<LaneId> waiting;
  };

  Slots& Of(Region region) { return regions_[IndexOf(region)]; }
  const Slots& Of(Region region) const { return regions_[IndexOf(region)]; }

  const int slots_;
  std::array<Slots, kRegions.size()> regions_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_
