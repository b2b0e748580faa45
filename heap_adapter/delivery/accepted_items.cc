#include "heap_adapter/delivery/accepted_items.h"

#include <optional>
#include <string>

namespace heapsync {

std::vector<DestinationSnapshot> AcceptedItems::Snapshots(
    const std::vector<Destination>& destinations,
    const LaneDirectory& directory) const {
  absl::flat_hash_map<LaneId, uint64_t> accepted;
  {
    MutexLock lock(mutex_);
    accepted = items_;
  }
  std::vector<DestinationSnapshot> snapshots;
  absl::flat_hash_map<std::string, std::vector<LaneSnapshot>> lanes;
  for (const auto& [lane, items] : accepted) {
    const std::optional<LaneKey> key = directory.KeyOf(lane);
    if (!key.has_value()) continue;
    LaneSnapshot& to = lanes[key->destination].emplace_back();
    to.id = lane;
    to.type = key->type;
    to.caller = key->caller;
    to.counts.appended = items;
  }
  for (const Destination& destination : destinations) {
    DestinationSnapshot& to = snapshots.emplace_back();
    to.delivers = false;
    to.name = destination.name;
    to.region = destination.region;
    to.masked_app_id = destination.app_id.Masked();
    to.lanes = std::move(lanes[destination.name]);
  }
  return snapshots;
}

}  // namespace heapsync
