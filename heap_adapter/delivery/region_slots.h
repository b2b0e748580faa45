#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_

#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "heap_adapter/base/clock.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

class DestinationQueue;

// The slots of each region, one for each of its requests in flight, and the
// lanes that wait for one: first come, first served. A region that hangs keeps
// its own slots, and none of another's.
//
// A region is silent while several requests in a row have failed as in an
// outage and none of it got through. The lanes that fail then share its probes,
// one after another at intervals. If the failures were of several destinations,
// the region fails as a whole: one request at a time then probes for all lanes,
// whether they have failed or not. A request that gets through ends both. One
// thread.
class RegionSlots {
 public:
  explicit RegionSlots(int slots_per_region) : slots_(slots_per_region) {}

  // The state of the lane that asks for a slot.
  enum class Asking { kGetsThrough, kFails };
  bool full(Region region, Asking asking, MonotonicTime now) const {
    const Slots& slots = Of(region);
    if (slots.fails() && slots.in_use > 0) return true;
    const bool probes =
        slots.fails() || (slots.silent() && asking == Asking::kFails);
    return slots.in_use >= slots_ || (probes && now < slots.next_probe);
  }

  // REQUIRES: not full().
  void Take(Region region) { ++Of(region).in_use; }
  // REQUIRES: a slot of it was taken.
  void GiveBack(Region region) { --Of(region).in_use; }

  // The lane gets no slot now, and stands in the line of its region.
  // REQUIRES: it stands in no line.
  void Wait(Region region, LaneId lane) { Of(region).waiting.push_back(lane); }
  // The lane that waited longest, if there is a slot for it, which it does not
  // take by that: it may have nothing to send any more.
  std::optional<LaneId> Offer(Region region, MonotonicTime now) {
    std::deque<LaneId>& waiting = Of(region).waiting;
    if (waiting.empty() || full(region, Asking::kFails, now)) {
      return std::nullopt;
    }
    const LaneId lane = waiting.front();
    waiting.pop_front();
    return lane;
  }

  // A request of `destination` failed as an outage would make it fail; no
  // probe goes out before `next_probe`.
  void OnFailure(Region region, const DestinationQueue* destination,
                 MonotonicTime next_probe) {
    Slots& slots = Of(region);
    if (slots.failures++ == 0) slots.first_failed = destination;
    slots.several_failed |= destination != slots.first_failed;
    slots.next_probe = next_probe;
  }
  // A request got through. True if the region was silent until then.
  bool OnReached(Region region) {
    Slots& slots = Of(region);
    const bool was_silent = slots.silent();
    slots.failures = 0;
    slots.first_failed = nullptr;
    slots.several_failed = false;
    return was_silent;
  }
  bool silent(Region region) const { return Of(region).silent(); }

  // The next time at which a region may be probed by a lane that waits; none if
  // there is none, or the response of a request comes first.
  std::optional<MonotonicTime> NextProbe() const {
    std::optional<MonotonicTime> next;
    for (const Slots& slots : regions_) {
      if (!slots.silent() || slots.waiting.empty()) continue;
      const int max = slots.fails() ? 1 : slots_;
      if (slots.in_use >= max) continue;
      next = std::min(next.value_or(slots.next_probe), slots.next_probe);
    }
    return next;
  }

 private:
  static constexpr int kFailuresOfSilence = 3;
  struct Slots {
    int in_use = 0;
    std::deque<LaneId> waiting;
    int failures = 0;  // since a request got through
    const DestinationQueue* first_failed = nullptr;
    bool several_failed = false;
    MonotonicTime next_probe;

    bool silent() const { return failures >= kFailuresOfSilence; }
    bool fails() const { return silent() && several_failed; }
  };

  Slots& Of(Region region) { return regions_[IndexOf(region)]; }
  const Slots& Of(Region region) const { return regions_[IndexOf(region)]; }

  const int slots_;
  std::array<Slots, kRegions.size()> regions_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_
