#include "heap_adapter/delivery/stored_state.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

namespace heapsync {

absl::StatusOr<std::vector<StoredUsage>> ReadUsage(const Spool& spool, Now now,
                                                   uint64_t epoch) {
  std::vector<StoredUsage> usage;
  absl::Status visited =
      spool.attempts().VisitUsage([&](AttemptId id, const UsageRecord& record) {
        usage.push_back({.id = id, .record = record, .ended = now.monotonic});
      });
  if (!visited.ok()) return visited;
  for (StoredUsage& each : usage) {
    const auto attempt = spool.attempts().FindAttempt(each.id);
    if (!attempt.ok()) return attempt.status();
    if (attempt->has_value() && (*attempt)->epoch == epoch) {
      each.ended = std::min((*attempt)->ended, now.monotonic);
    } else if (each.record.epoch == epoch) {
      each.ended = std::min(each.record.ended, now.monotonic);
    } else {
      each.record.ended = now.monotonic;
      each.record.epoch = epoch;
      each.changed = true;
    }
  }
  std::sort(usage.begin(), usage.end(),
            [](const StoredUsage& a, const StoredUsage& b) {
              return a.ended < b.ended;
            });
  return usage;
}

absl::StatusOr<std::vector<std::unique_ptr<DestinationQueue>>> ReadQueues(
    const Spool& spool, const std::vector<const Destination*>& destinations,
    const std::vector<StoredLane>& lanes, MonotonicTime next_try) {
  std::vector<std::unique_ptr<DestinationQueue>> queues;
  absl::flat_hash_map<std::string, DestinationQueue*> by_name;
  for (const Destination* destination : destinations) {
    const absl::StatusOr<bool> paused = spool.IsPaused(destination->name);
    if (!paused.ok()) return paused.status();
    queues.push_back(std::make_unique<DestinationQueue>(*destination));
    queues.back()->SetPaused(*paused);
    by_name.emplace(destination->name, queues.back().get());
  }
  absl::flat_hash_map<LaneId, QueuedLane*> by_lane;
  for (const StoredLane& stored : lanes) {
    const auto queue = by_name.find(stored.key.destination);
    if (queue == by_name.end()) continue;
    const auto deferred = spool.deferred().DeferredIdentities(stored.id);
    if (!deferred.ok()) return deferred.status();
    const auto isolated = spool.deferred().IsolatedItems(stored.id);
    if (!isolated.ok()) return isolated.status();
    QueuedLane& lane = queue->second->AddLane(spool, stored, *deferred);
    by_lane.emplace(stored.id, &lane);
    for (const IsolatedItem& item : *isolated) {
      const absl::Status status = lane.lane.RestoreIsolated(item, next_try);
      if (!status.ok()) return status;
    }
  }
  absl::Status restored = absl::OkStatus();
  absl::Status visited =
      spool.attempts().VisitPlans([&](AttemptId id, const PlanRecord& record) {
        const auto lane = by_lane.find(record.lane);
        if (lane == by_lane.end()) return;
        restored.Update(lane->second->lane.Restore(id, record));
      });
  if (!visited.ok()) return visited;
  if (!restored.ok()) return restored;
  return queues;
}

}  // namespace heapsync
