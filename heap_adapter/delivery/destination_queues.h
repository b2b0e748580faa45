#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DESTINATION_QUEUES_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DESTINATION_QUEUES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/delivery/destination_queue.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/delivery/stored_state.h"
#include "heap_adapter/intake/backlog.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// The queues of all destinations that a dispatcher serves, by name, and their
// lanes, by number. Belongs to the dispatcher.
class DestinationQueues {
 public:
  using Queues = std::vector<std::unique_ptr<DestinationQueue>>;

  // In an order that stays.
  const Queues& all() const { return queues_; }
  // Null: no such destination.
  DestinationQueue* Find(absl::string_view destination) const;
  // The queues that `destination` names; empty: all.
  std::vector<DestinationQueue*> Named(absl::string_view destination) const;
  // Null: it is of a destination that is not served.
  QueuedLane* FindLane(LaneId lane) const;
  // REQUIRES: its destination is served.
  QueuedLane& LaneOf(LaneId lane) const;

  // Adds the queues of further destinations, and of `usage` what is theirs.
  void Adopt(Queues queues, std::vector<StoredUsage> usage, Now now);
  // Adds a lane that is new and empty.
  QueuedLane& AddLane(DestinationQueue& queue, Spool& spool, LaneId id,
                      LaneKey key);

  // See Dispatcher::Flush(). Calls `begun` for each lane that is flushed.
  bool Flush(absl::string_view destination, SettledCallback done,
             absl::FunctionRef<void(QueuedLane&)> begun);

  // One that waits for the delivery of items.
  struct Waiter {
    LaneId lane = 0;
    SeqRange items;
    SettledCallback callback;
  };
  // Takes them out, and tells flushes that they are abandoned. The last call.
  std::vector<Waiter> TakeWaiters();

  // Of at most `max` destinations from the `first` on, in an order that stays;
  // fewer at the end. Without reading the spool.
  std::vector<DestinationSnapshot> Snapshot(size_t first, size_t max,
                                            Now now) const;
  std::vector<DestinationFlow> Flows(MonotonicTime now) const;
  // The same of one; none for an unknown destination.
  std::optional<DestinationSnapshot> SnapshotOf(absl::string_view destination,
                                                Now now) const;
  // Backlog of a destination; null if there is none of this name. See Backlog
  // for what any thread may do.
  std::shared_ptr<Backlog> BacklogOf(absl::string_view destination) const;
  // Items of all lanes that are not settled.
  uint64_t queued_items() const;

 private:
  Queues queues_;
  absl::flat_hash_map<std::string, DestinationQueue*> by_name_;
  absl::flat_hash_map<LaneId, QueuedLane*> lanes_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DESTINATION_QUEUES_H_
