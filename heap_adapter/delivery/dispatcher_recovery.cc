// How the dispatcher comes to its destinations and lanes, and to what an
// earlier process left of them in the spool.

#include <algorithm>
#include <utility>

#include "heap_adapter/delivery/dispatcher.h"

namespace heapsync {

absl::Status Dispatcher::Recover(const std::vector<StoredLane>& lanes, Now now,
                                 uint64_t epoch) {
  epoch_ = epoch;
  for (const StoredLane& stored : lanes) {
    const auto target = target_by_name_.find(stored.key.destination);
    if (target == target_by_name_.end()) continue;
    auto deferred = spool_.DeferredIdentities(stored.id);
    if (!deferred.ok()) return deferred.status();
    AddLane(stored, *deferred, target->second);
  }
  for (const auto& target : targets_) {
    auto paused = spool_.IsPaused(target->destination->name);
    if (!paused.ok()) return paused.status();
    target->paused = *paused;
  }
  absl::Status restored = absl::OkStatus();
  absl::Status visited =
      spool_.VisitPlans([&](AttemptId id, const PlanRecord& record) {
        const auto lane = lanes_.find(record.lane);
        if (lane == lanes_.end()) return;
        restored.Update(lane->second->lane.Restore(id, record));
      });
  if (!visited.ok()) return visited;
  if (!restored.ok()) return restored;
  for (const auto& target : targets_) UpdateBacklog(*target, now);
  const absl::Status numbered = history_.Recover();
  return numbered.ok() ? RecoverUsage(now) : numbered;
}

void Dispatcher::AddLane(const StoredLane& stored,
                         const std::vector<DeferredIdentity>& deferred,
                         size_t target) {
  lanes_.emplace(stored.id,
                 std::make_unique<LaneState>(spool_, stored, deferred, target));
  targets_[target]->lanes.push_back(stored.id);
  Target::OfType& of_type = targets_[target]->Of(stored.key.type);
  of_type.lanes.push_back(stored.id);
  of_type.shares.Add(stored.id);
  Enqueue(stored.id);
}

absl::Status Dispatcher::SetDestination(const Destination& destination,
                                        const std::vector<StoredLane>& lanes,
                                        Now now) {
  const auto known = target_by_name_.find(destination.name);
  if (known == target_by_name_.end()) {
    return AddTarget(destination, lanes, now);
  }
  Target& target = *targets_[known->second];
  Target fresh(destination);
  target.destination = &destination;
  for (const ObjectType type : kObjectTypes) {
    UsageLedger* ledger = target.LedgerOf(type);
    if (ledger == nullptr) continue;
    const UsageLedger::Rules& rules = fresh.LedgerOf(type)->rules();
    // Nobody counted what identities used while they had no limit.
    if (rules.per_identity > 0 && !ledger->limits_identities()) {
      target.held_until =
          std::max(target.held_until, now.monotonic + LongestLimitWindow());
    }
    ledger->SetLimits(rules);
  }
  EnqueueLanesOf(target);
  return absl::OkStatus();
}

absl::Status Dispatcher::AddTarget(const Destination& destination,
                                   const std::vector<StoredLane>& lanes,
                                   Now now) {
  const absl::StatusOr<bool> paused = spool_.IsPaused(destination.name);
  if (!paused.ok()) return paused.status();
  std::vector<std::pair<const StoredLane*, std::vector<DeferredIdentity>>> own;
  for (const StoredLane& stored : lanes) {
    if (stored.key.destination != destination.name) continue;
    auto deferred = spool_.DeferredIdentities(stored.id);
    if (!deferred.ok()) return deferred.status();
    own.emplace_back(&stored, *std::move(deferred));
  }
  std::vector<std::pair<AttemptId, PlanRecord>> plans;
  absl::Status visited =
      spool_.VisitPlans([&](AttemptId id, const PlanRecord& record) {
        for (const auto& [stored, deferred] : own) {
          if (stored->id == record.lane) plans.emplace_back(id, record);
        }
      });
  if (!visited.ok()) return visited;

  const size_t index = targets_.size();
  targets_.push_back(std::make_unique<Target>(destination));
  target_by_name_.emplace(destination.name, index);
  Target& target = *targets_[index];
  target.paused = *paused;
  for (const auto& [stored, deferred] : own) AddLane(*stored, deferred, index);
  // What this destination's lanes used before they were left alone is not known
  // any more.
  if (!own.empty()) {
    target.held_until = now.monotonic + LongestLimitWindow();
  }
  absl::Status restored = absl::OkStatus();
  for (const auto& [id, record] : plans) {
    restored.Update(StateOf(record.lane).lane.Restore(id, record));
  }
  UpdateBacklog(target, now);
  return restored;
}

absl::Status Dispatcher::RecoverUsage(Now now) {
  struct Used {
    AttemptId id;
    UsageRecord record;
    MonotonicTime ended;
  };
  std::vector<Used> used;
  absl::Status status =
      spool_.VisitUsage([&](AttemptId id, const UsageRecord& record) {
        used.push_back({.id = id, .record = record, .ended = now.monotonic});
      });
  if (!status.ok()) return status;
  SpoolChange found;
  for (Used& each : used) {
    auto attempt = spool_.FindAttempt(each.id);
    if (!attempt.ok()) return attempt.status();
    if (attempt->has_value() && (*attempt)->epoch == epoch_) {
      each.ended = std::min((*attempt)->ended, now.monotonic);
    } else if (each.record.epoch == epoch_) {
      each.ended = std::min(each.record.ended, now.monotonic);
    } else {
      // It was in flight when the process ended, or nothing tells how long ago
      // it ended. That it has by now is noted: every start would count it anew.
      each.record.ended = now.monotonic;
      each.record.epoch = epoch_;
      found.PutUsage(each.id, each.record);
    }
  }
  if (!found.empty()) committer_.Apply(std::move(found), nullptr);
  std::sort(used.begin(), used.end(),
            [](const Used& a, const Used& b) { return a.ended < b.ended; });
  for (Used& each : used) {
    history_.EndUsage(each.id, each.ended);
    const auto it = lanes_.find(each.record.lane);
    if (it == lanes_.end()) continue;
    LaneState& state = *it->second;
    UsageLedger* ledger = TargetOf(state).LedgerOf(state.lane.key().type);
    if (ledger == nullptr) continue;
    ledger->Begin(each.id, std::move(each.record.identities), each.record.lane);
    ledger->End(each.id, each.ended);
  }
  return absl::OkStatus();
}

}  // namespace heapsync
