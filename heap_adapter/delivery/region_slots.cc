#include "heap_adapter/delivery/region_slots.h"

#include <algorithm>

#include "heap_adapter/model/object_type.h"

namespace heapsync {

void RegionSlots::Failures::Add(const DestinationQueue* destination,
                                uint64_t batch_id) {
  if (count++ == 0) {
    first_destination = destination;
    first_batch = batch_id;
  }
  of_several_destinations |= destination != first_destination;
  of_several_batches |= batch_id != first_batch;
}

RegionSlots::EndpointSlots& RegionSlots::Of(Endpoint endpoint) {
  return Of(endpoint.region).endpoints[IndexOf(endpoint.type)];
}

const RegionSlots::EndpointSlots& RegionSlots::Of(Endpoint endpoint) const {
  return Of(endpoint.region).endpoints[IndexOf(endpoint.type)];
}

// True if only a response can free a slot.
bool RegionSlots::InUse(const Slots& slots,
                        const EndpointSlots& endpoint) const {
  return slots.in_use >= (slots.fails() ? 1 : slots_) ||
         (endpoint.fails() && endpoint.in_use > 0);
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
  if (InUse(slots, of_type)) return true;
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
  Of(endpoint).next_probe = next_probe;
}

std::vector<ObjectType> RegionSlots::OnReached(Endpoint endpoint) {
  Slots& slots = Of(endpoint.region);
  EndpointSlots& of_type = Of(endpoint);
  const bool region_was_silent = slots.silent();
  const bool was_silent = of_type.silent();
  slots.failures = {};
  of_type.failures = {};
  if (region_was_silent) {
    for (EndpointSlots& each : slots.endpoints) each.next_probe = {};
    return {kObjectTypes.begin(), kObjectTypes.end()};
  }
  if (was_silent) return {endpoint.type};
  return {};
}

bool RegionSlots::silent(Endpoint endpoint) const {
  return Of(endpoint.region).silent() || Of(endpoint).silent();
}

std::optional<MonotonicTime> RegionSlots::NextProbe() const {
  std::optional<MonotonicTime> next;
  for (const Slots& slots : regions_) {
    for (const EndpointSlots& each : slots.endpoints) {
      if (each.waiting.empty() || InUse(slots, each) ||
          !Probes(slots, each, Asking::kFails)) {
        continue;
      }
      next = std::min(next.value_or(each.next_probe), each.next_probe);
    }
  }
  return next;
}

}  // namespace heapsync
