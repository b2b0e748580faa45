#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

class DestinationQueue;

// Where Heap takes the items of one type in one region: a URL of its own, which
// may fail while the others of the region work.
struct Endpoint {
  Region region;
  ObjectType type;
};

// The slots of each region, one for each of its requests in flight, and the
// lanes that wait for one: first come, first served. A region that hangs keeps
// its own slots, and none of another's.
//
// A region is silent while several requests in a row have failed as in an
// outage and none of it got through. An endpoint is silent likewise, if
// different batches failed: one batch may fail for its content. The lanes that
// fail then take turns at probing the endpoint, one after another at intervals.
// If the failures were of several destinations, the region or the endpoint
// fails as a whole: one request at a time then probes for all lanes, whether
// they have failed or not. The intervals are those of each endpoint, so that
// none keeps another waiting. A request that gets through ends all this for its
// endpoint; the first in a silent region lets the other endpoints be probed at
// once.
//
// A request of a failing lane that stays without a response hangs: it keeps its
// slot, but no other request from probing. An endpoint stalls where requests
// stay without any response for long before one has failed: it then fails as a
// whole until one gets through. One thread.
class RegionSlots {
 public:
  explicit RegionSlots(int slots_per_region) : slots_(slots_per_region) {}

  // The state of the lane that asks for a slot.
  enum class Asking { kGetsThrough, kFails };
  bool full(Endpoint endpoint, Asking asking, MonotonicTime now) const;
  // True if the lane gets no slot now: there is none, or others have waited
  // longer for the next probe.
  bool MustWait(Endpoint endpoint, LaneId lane, Asking asking,
                MonotonicTime now) const;

  // True if such a lane's requests only probe now.
  bool probes(Endpoint endpoint, Asking asking) const {
    return Probes(Of(endpoint.region), Of(endpoint), asking);
  }

  // Items of a request that only probes, of a lane with that many.
  static uint32_t ProbeItems(uint64_t queued_items);

  // REQUIRES: not full().
  void Take(Endpoint endpoint);
  // REQUIRES: a slot of it was taken, and its request does not hang.
  void GiveBack(Endpoint endpoint);

  // A request with a slot of the endpoint hangs; no probe of the endpoint goes
  // out before `next_probe`.
  void BeginHanging(Endpoint endpoint, MonotonicTime next_probe);
  // It has its response, or none will come. REQUIRES: BeginHanging().
  void EndHanging(Endpoint endpoint);

  // False if requests that hang keep another one from probing.
  bool CanProbe(Endpoint endpoint) const {
    return Of(endpoint.region).in_use < slots_ &&
           Of(endpoint).hanging < kMaxHanging;
  }

  // Requests of the endpoint have had no response for long.
  void BeginStall(Endpoint endpoint) { Of(endpoint).stalls = true; }
  bool stalls(Endpoint endpoint) const { return Of(endpoint).stalls; }
  // True if any endpoint of the region does.
  bool stalls(Region region) const {
    const auto& endpoints = Of(region).endpoints;
    return std::any_of(endpoints.begin(), endpoints.end(),
                       [](const EndpointSlots& each) { return each.stalls; });
  }

  // The lane gets no slot now, and stands in the line of its region.
  // REQUIRES: it stands in no line.
  void Wait(Endpoint endpoint, LaneId lane);
  // The lane that waited longest among those for which there is a slot, which
  // it does not take by that: it may have nothing to send any more.
  std::optional<LaneId> Offer(Region region, MonotonicTime now);

  // Batch `batch_id` of `destination` failed as an outage would make it fail;
  // no probe of the endpoint goes out before `next_probe`.
  void OnFailure(Endpoint endpoint, const DestinationQueue* destination,
                 uint64_t batch_id, MonotonicTime next_probe);
  // A request got through. Gives the types whose lanes need not wait any more:
  // the endpoint's if that was silent, all if the region was.
  std::vector<ObjectType> OnReached(Endpoint endpoint);
  // True if the endpoint or its whole region is silent, or the endpoint stalls.
  bool silent(Endpoint endpoint) const;
  // The silence that there is now, and whether it has ended since.
  struct Silence {
    bool of_region;
    uint64_t reached;
  };
  std::optional<Silence> SilenceOf(Endpoint endpoint) const;
  bool Ended(Endpoint endpoint, const Silence& silence) const;

  // The next time at which an endpoint may be probed by a lane that waits; none
  // if there is none, or the response of a request comes first.
  std::optional<MonotonicTime> NextProbe() const;

 private:
  static constexpr int kFailuresOfSilence = 3;
  // Probes of an endpoint that hang. More: the end of an outage in which
  // requests hang for long is noticed soon, but each has a connection.
  static constexpr int kMaxHanging = 12;
  // Requests that failed as in an outage, since one got through.
  struct Failures {
    int count = 0;
    const DestinationQueue* first_destination = nullptr;
    uint64_t first_batch = 0;
    bool of_several_destinations = false;
    bool of_several_batches = false;

    void Add(const DestinationQueue* destination, uint64_t batch_id);
    bool enough() const { return count >= kFailuresOfSilence; }
  };
  struct Waiting {
    uint64_t ticket;  // grows with each that begins to wait
    LaneId lane;
  };
  struct EndpointSlots {
    int in_use = 0;
    int hanging = 0;       // of those in use
    uint64_t reached = 0;  // number of requests that got through
    std::deque<Waiting> waiting;
    Failures failures;
    MonotonicTime next_probe;
    bool stalls = false;

    bool silent() const {
      return failures.enough() && failures.of_several_batches;
    }
    bool fails() const {
      return stalls || (silent() && failures.of_several_destinations);
    }
  };
  struct Slots {
    int in_use = 0;
    int hanging = 0;  // of those in use
    std::array<EndpointSlots, kObjectTypes.size()> endpoints;
    Failures failures;
    uint64_t reached = 0;           // number of requests that got through
    std::optional<LaneId> offered;  // last, and not taken since

    bool silent() const { return failures.enough(); }
    bool fails() const { return silent() && failures.of_several_destinations; }
  };

  bool InUse(const Slots& slots, const EndpointSlots& endpoint,
             Asking asking) const;
  static bool Probes(const Slots& slots, const EndpointSlots& endpoint,
                     Asking asking);

  Slots& Of(Region region) { return regions_[IndexOf(region)]; }
  const Slots& Of(Region region) const { return regions_[IndexOf(region)]; }
  EndpointSlots& Of(Endpoint endpoint);
  const EndpointSlots& Of(Endpoint endpoint) const;

  const int slots_;
  std::array<Slots, kRegions.size()> regions_;
  uint64_t next_ticket_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_REGION_SLOTS_H_
