#include "heap_adapter/delivery/region_slots.h"

#include <algorithm>

#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

// Items of a request that only probes. More: the first request that gets
// through delivers more, but probes of an outage use up more of Heap's limits,
// since nobody knows what Heap counted.
constexpr uint64_t kMaxProbeItems = 32;
// A probe takes at most this part of what waits: while some hang, others need
// items too.
constexpr uint64_t kProbePart = 12;

}  // namespace

void RegionSlots::Failures::Add(const DestinationQueue* destination,
                                uint64_t batch_id) {
  if (count++ == 0) {
    first_destination = destination;
    first_batch = batch_id;
  }
  of_several_destinations |= destination != first_destination;
  of_several_batches |= batch_id != first_batch;
}

uint32_t RegionSlots::ProbeItems(uint64_t queued_items) {
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(queued_items / kProbePart, 1, kMaxProbeItems));
}

RegionSlots::EndpointSlots& RegionSlots::Of(Endpoint endpoint) {
  return Of(endpoint.region).endpoints[IndexOf(endpoint.type)];
}

const RegionSlots::EndpointSlots& RegionSlots::Of(Endpoint endpoint) const {
  return Of(endpoint.region).endpoints[IndexOf(endpoint.type)];
}

// True if only a response can free a slot.
bool RegionSlots::InUse(const Slots& slots, const EndpointSlots& endpoint,
                        Asking asking) const {
  const bool fails =
      asking == Asking::kFails || Probes(slots, endpoint, asking);
  return slots.in_use >= slots_ ||
         (slots.fails() && slots.in_use > slots.hanging) ||
         (endpoint.fails() && endpoint.in_use > endpoint.hanging) ||
         (fails && endpoint.hanging >= kMaxHanging);
}

bool RegionSlots::Probes(const Slots& slots, const EndpointSlots& endpoint,
                         Asking asking) {
  if (slots.fails() || endpoint.fails()) return true;
  return (slots.silent() || endpoint.silent()) && asking == Asking::kFails;
}

bool RegionSlots::full(Endpoint endpoint, Asking asking,
                       MonotonicTime now) const {
  const Slots& slots = Of(endpoint.region);
  const EndpointSlots& of_type = Of(endpoint);
  if (InUse(slots, of_type, asking)) return true;
  return Probes(slots, of_type, asking) && now < of_type.next_probe;
}

bool RegionSlots::MustWait(Endpoint endpoint, LaneId lane, Asking asking,
                           MonotonicTime now) const {
  if (full(endpoint, asking, now)) return true;
  const Slots& slots = Of(endpoint.region);
  const EndpointSlots& of_type = Of(endpoint);
  return Probes(slots, of_type, asking) && slots.offered != lane &&
         !of_type.waiting.empty();
}

void RegionSlots::Take(Endpoint endpoint) {
  Slots& slots = Of(endpoint.region);
  ++slots.in_use;
  slots.offered.reset();
  ++Of(endpoint).in_use;
}

void RegionSlots::GiveBack(Endpoint endpoint) {
  --Of(endpoint.region).in_use;
  --Of(endpoint).in_use;
}

void RegionSlots::BeginHanging(Endpoint endpoint, MonotonicTime next_probe) {
  ++Of(endpoint.region).hanging;
  ++Of(endpoint).hanging;
  MonotonicTime& next = Of(endpoint).next_probe;
  next = std::max(next, next_probe);
}

void RegionSlots::EndHanging(Endpoint endpoint) {
  --Of(endpoint.region).hanging;
  --Of(endpoint).hanging;
}

void RegionSlots::Wait(Endpoint endpoint, LaneId lane) {
  Of(endpoint).waiting.push_back({.ticket = next_ticket_++, .lane = lane});
}

std::optional<LaneId> RegionSlots::Offer(Region region, MonotonicTime now) {
  Slots& slots = Of(region);
  EndpointSlots* first = nullptr;
  for (const ObjectType type : kObjectTypes) {
    const Endpoint endpoint{.region = region, .type = type};
    EndpointSlots& each = Of(endpoint);
    if (each.waiting.empty() || full(endpoint, Asking::kFails, now)) continue;
    if (first == nullptr ||
        each.waiting.front().ticket < first->waiting.front().ticket) {
      first = &each;
    }
  }
  if (first == nullptr) return std::nullopt;
  slots.offered = first->waiting.front().lane;
  first->waiting.pop_front();
  return slots.offered;
}

void RegionSlots::OnFailure(Endpoint endpoint,
                            const DestinationQueue* destination,
                            uint64_t batch_id, MonotonicTime next_probe) {
  Of(endpoint.region).failures.Add(destination, batch_id);
  Of(endpoint).failures.Add(destination, batch_id);
  MonotonicTime& next = Of(endpoint).next_probe;
  next = std::max(next, next_probe);
}

std::vector<ObjectType> RegionSlots::OnReached(Endpoint endpoint) {
  Slots& slots = Of(endpoint.region);
  EndpointSlots& of_type = Of(endpoint);
  const bool region_was_silent = slots.silent();
  const bool was_silent = of_type.silent() || of_type.stalls;
  ++slots.reached;
  ++of_type.reached;
  slots.failures = {};
  of_type.failures = {};
  of_type.stalls = false;
  if (region_was_silent) {
    for (EndpointSlots& each : slots.endpoints) each.next_probe = {};
    return {kObjectTypes.begin(), kObjectTypes.end()};
  }
  if (was_silent) return {endpoint.type};
  return {};
}

bool RegionSlots::silent(Endpoint endpoint) const {
  return Of(endpoint.region).silent() || Of(endpoint).silent() ||
         Of(endpoint).stalls;
}

std::optional<RegionSlots::Silence> RegionSlots::SilenceOf(
    Endpoint endpoint) const {
  const Slots& slots = Of(endpoint.region);
  if (slots.silent()) {
    return Silence{.of_region = true, .reached = slots.reached};
  }
  const EndpointSlots& of_type = Of(endpoint);
  if (!of_type.silent()) return std::nullopt;
  return Silence{.of_region = false, .reached = of_type.reached};
}

bool RegionSlots::Ended(Endpoint endpoint, const Silence& silence) const {
  const uint64_t reached =
      silence.of_region ? Of(endpoint.region).reached : Of(endpoint).reached;
  return reached > silence.reached;
}

std::optional<MonotonicTime> RegionSlots::NextProbe() const {
  std::optional<MonotonicTime> next;
  for (const Slots& slots : regions_) {
    for (const EndpointSlots& each : slots.endpoints) {
      if (each.waiting.empty() || InUse(slots, each, Asking::kFails) ||
          !Probes(slots, each, Asking::kFails)) {
        continue;
      }
      next = std::min(next.value_or(each.next_probe), each.next_probe);
    }
  }
  return next;
}

}  // namespace heapsync
