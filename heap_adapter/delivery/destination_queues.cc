#include "heap_adapter/delivery/destination_queues.h"

#include <utility>

#include "base/check.h"

namespace heapsync {

QueuedLane* DestinationQueues::FindLane(LaneId lane) const {
  const auto it = lanes_.find(lane);
  return it == lanes_.end() ? nullptr : it->second;
}

QueuedLane& DestinationQueues::LaneOf(LaneId lane) const {
  QueuedLane* const found = FindLane(lane);
  HEAPSYNC_CHECK(found != nullptr) << "no lane " << lane;
  return *found;
}

DestinationQueue* DestinationQueues::Find(absl::string_view destination) const {
  const auto it = by_name_.find(destination);
  return it == by_name_.end() ? nullptr : it->second;
}

std::vector<DestinationQueue*> DestinationQueues::Named(
    absl::string_view destination) const {
  std::vector<DestinationQueue*> found;
  if (destination.empty()) {
    for (const auto& queue : queues_) found.push_back(queue.get());
  } else if (DestinationQueue* queue = Find(destination); queue != nullptr) {
    found.push_back(queue);
  }
  return found;
}

void DestinationQueues::Adopt(Queues queues, std::vector<StoredUsage> usage,
                              Now now) {
  absl::flat_hash_map<LaneId, QueuedLane*> adopted;
  for (std::unique_ptr<DestinationQueue>& queue : queues) {
    for (const auto& lane : queue->lanes()) {
      adopted.emplace(lane->id(), lane.get());
      lanes_.emplace(lane->id(), lane.get());
    }
    by_name_.emplace(queue->destination().name, queue.get());
    queue->UpdateBacklog(now.monotonic);
    queues_.push_back(std::move(queue));
  }
  for (StoredUsage& each : usage) {
    const auto lane = adopted.find(each.record.lane);
    if (lane == adopted.end()) continue;
    UsageLedger* ledger = lane->second->queue.LedgerOf(lane->second->type());
    if (ledger == nullptr) continue;
    ledger->Begin(each.id, std::move(each.record.identities), each.record.lane);
    ledger->End(each.id, each.ended);
  }
}

bool DestinationQueues::Flush(absl::string_view destination,
                              SettledCallback done,
                              absl::FunctionRef<void(QueuedLane&)> begun) {
  const std::vector<DestinationQueue*> queues = Named(destination);
  if (queues.empty() && !destination.empty()) return false;
  struct Join {
    size_t open = 1;
    Settlement total;
    SettledCallback done;
    void End(Settlement part) {
      total.delivered += part.delivered;
      total.dead_lettered += part.dead_lettered;
      total.abandoned = total.abandoned || part.abandoned;
      if (--open == 0) done(total);
    }
  };
  // Shared by the lanes' callbacks: the last of them ends it.
  const auto join = std::make_shared<Join>();
  const auto listener = done.listener();
  join->done = std::move(done);
  for (DestinationQueue* queue : queues) {
    for (const auto& each : queue->lanes()) {
      Lane& lane = each->lane;
      if (lane.queued_items() == 0) continue;
      ++join->open;
      lane.FlushPartialBatches();
      lane.waiters().WaitForAllBelow(
          lane.head(), lane.queued_items(),
          {listener, [join](Settlement part) { join->End(part); }});
      begun(*each);
    }
  }
  join->End({});
  return true;
}

std::vector<DestinationQueues::Waiter> DestinationQueues::TakeWaiters() {
  std::vector<Waiter> waiters;
  for (const auto& [id, lane] : lanes_) {
    for (auto& [items, callback] : lane->lane.waiters().TakeAll()) {
      waiters.push_back(
          {.lane = id, .items = items, .callback = std::move(callback)});
    }
    for (auto& [callback, settlement] : lane->lane.waiters().TakeFinished()) {
      callback(settlement);
    }
  }
  return waiters;
}

QueuedLane& DestinationQueues::AddLane(DestinationQueue& queue, Spool& spool,
                                       LaneId id, LaneKey key) {
  QueuedLane& lane = queue.AddLane(
      spool, {.id = id, .key = std::move(key), .progress = {}}, {});
  lanes_.emplace(lane.id(), &lane);
  return lane;
}

std::vector<DestinationSnapshot> DestinationQueues::Snapshot(size_t first,
                                                             size_t max,
                                                             Now now) const {
  std::vector<DestinationSnapshot> snapshots;
  for (size_t i = first; i < queues_.size() && snapshots.size() < max; ++i) {
    snapshots.push_back(queues_[i]->Snapshot(now.monotonic));
  }
  return snapshots;
}

std::vector<DestinationFlow> DestinationQueues::Flows(MonotonicTime now) const {
  std::vector<DestinationFlow> flows;
  flows.reserve(queues_.size());
  for (const auto& queue : queues_) flows.push_back(queue->Flow(now));
  return flows;
}

std::optional<DestinationSnapshot> DestinationQueues::SnapshotOf(
    absl::string_view destination, Now now) const {
  const DestinationQueue* queue = Find(destination);
  if (queue == nullptr) return std::nullopt;
  return queue->Snapshot(now.monotonic);
}

std::shared_ptr<Backlog> DestinationQueues::BacklogOf(
    absl::string_view destination) const {
  const DestinationQueue* queue = Find(destination);
  return queue == nullptr ? nullptr : queue->backlog();
}

uint64_t DestinationQueues::queued_items() const {
  uint64_t items = 0;
  for (const auto& [id, lane] : lanes_) items += lane->lane.queued_items();
  return items;
}

}  // namespace heapsync
