#include "heap_adapter/delivery/open_lanes.h"

#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

// Gives the lanes that the destinations lack a number each, and adds them to
// `lanes`.
std::vector<StoredLane> AddMissing(const std::vector<Destination>& destinations,
                                   LaneDirectory& directory,
                                   std::vector<StoredLane>& lanes) {
  std::vector<StoredLane> added;
  for (const Destination& destination : destinations) {
    for (const ObjectType type : kObjectTypes) {
      const auto lane = directory.FindOrAdd(destination.name, type, "");
      if (!lane.is_new) continue;
      added.push_back(
          {.id = lane.id,
           .key = {.destination = destination.name, .type = type, .caller = {}},
           .progress = {}});
    }
  }
  lanes.insert(lanes.end(), added.begin(), added.end());
  return added;
}

// Lanes of the destinations come into being in one commit; others may make the
// same ones.
absl::StatusOr<std::vector<StoredLane>> OpenShared(
    Spool& spool, const std::vector<Destination>& destinations,
    LaneDirectory& directory) {
  const auto known = spool.LaneKeys();
  if (!known.ok()) return known.status();
  std::vector<StoredLane> lanes;
  for (const auto& [id, key] : *known) {
    directory.Add(id, key);
    lanes.push_back({.id = id, .key = key, .progress = {}});
  }
  absl::btree_map<LaneId, LaneKey> added;
  for (StoredLane& lane : AddMissing(destinations, directory, lanes)) {
    added.emplace(lane.id, std::move(lane.key));
  }
  if (added.empty()) return lanes;
  std::vector<LaneId> ids;
  for (const auto& [id, key] : added) ids.push_back(id);
  SpoolChange change;
  absl::Status taken;
  absl::Status made = spool.CommitAtEnds(
      ids, ids,
      [&](const std::vector<std::optional<LaneEnd>>& ends,
          const std::vector<std::optional<LaneKey>>& keys)
          -> const SpoolChange& {
        change = SpoolChange();
        taken = absl::OkStatus();
        for (size_t i = 0; i < ids.size(); ++i) {
          const LaneKey& key = added[ids[i]];
          if (keys[i].has_value() && *keys[i] != key) {
            taken = absl::UnavailableError(
                "another server gave the number of a new lane to another lane; "
                "the next start reads it");
          } else if (!ends[i].has_value()) {
            change.PutLane(ids[i], key);
            change.PutEnd(ids[i], {});
          }
        }
        return change;
      });
  made.Update(taken);
  if (!made.ok()) return made;
  return lanes;
}

absl::StatusOr<std::vector<StoredLane>> OpenOwn(
    Spool& spool, const std::vector<Destination>& destinations,
    LaneDirectory& directory) {
  absl::StatusOr<std::vector<StoredLane>> lanes = spool.Lanes();
  if (!lanes.ok()) return lanes;
  for (const StoredLane& lane : *lanes) directory.Add(lane.id, lane.key);
  SpoolChange change;
  for (const StoredLane& lane : AddMissing(destinations, directory, *lanes)) {
    change.PutLane(lane.id, lane.key);
  }
  if (!change.empty()) {
    change.RequireDisk();
    if (absl::Status s = spool.Commit(change); !s.ok()) return s;
  }
  return lanes;
}

}  // namespace

absl::StatusOr<std::vector<StoredLane>> OpenLanes(
    Spool& spool, const std::vector<Destination>& destinations,
    LaneDirectory& directory) {
  return spool.shared() ? OpenShared(spool, destinations, directory)
                        : OpenOwn(spool, destinations, directory);
}

}  // namespace heapsync
