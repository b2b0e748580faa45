#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/delivery/attempt.h"
#include "heap_adapter/delivery/attempt_history.h"
#include "heap_adapter/delivery/delivery_rules.h"
#include "heap_adapter/delivery/destination_queues.h"
#include "heap_adapter/delivery/lane_schedule.h"
#include "heap_adapter/delivery/recent_traces.h"
#include "heap_adapter/delivery/region_slots.h"
#include "heap_adapter/delivery/requests_in_flight.h"
#include "heap_adapter/delivery/response_handler.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/delivery/stored_state.h"
#include "heap_adapter/intake/backlog.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/spool.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// Decides which lane sends next, and carries each request through its life.
// Lanes take turns; limits, backoff and holds are kept per destination, so none
// delays another. Of one destination's callers the one that used least of its
// limit goes first, and a small part of the limit is reserved for callers that
// use less than their share: a caller with a long backlog does not delay the
// rest.
//
// The hand-over "Intent": a request that counts against a limit is sent only
// once its usage is stored, so no crash makes a limit forgotten.
//
// Belongs to one thread and holds no lock; time and randomness come in as
// arguments, requests leave through the transport and changes through the
// committer.
class Dispatcher {
 public:
  // Everything given by reference must outlive this. `random01` gives numbers
  // drawn evenly from [0, 1). The sinks may be null.
  Dispatcher(Spool& spool, Committer& committer, Transport& transport,
             const DeliveryRules& rules, std::function<double()> random01,
             AttemptSink sink, ExpirySink expired = nullptr);

  // Takes over what the spool holds for `destinations`, as SetDestinations()
  // does, and the usage of the limits. `epoch` is that of `now`, see
  // Clock::Epoch(): what ended in another epoch counts as if it ended now,
  // since nothing says how long ago that was. Call once, first. Errors: those
  // of reading the spool.
  absl::Status Start(const std::vector<Destination>& destinations,
                     const std::vector<StoredLane>& lanes, Now now,
                     uint64_t epoch);

  // From now on these destinations are what their names mean. A new one takes
  // over its lanes among `lanes`, with the usage of its limits; the lanes of a
  // known one are left as they are, and its limits, batches, region and App ID
  // count for all that is not in flight. A known one that is left out goes on.
  // `destinations` must outlive this. Errors: those of reading the spool;
  // nothing has changed then.
  absl::Status SetDestinations(const std::vector<Destination>& destinations,
                               const std::vector<StoredLane>& lanes, Now now);

  void OnNotices(Committer::Notices notices, Now now);
  void OnResponse(const HeapResponse& response, Now now);

  // While the disk is short of space, items whose identity is over its limit
  // are not deferred, which would write them again: they hold up those that
  // came after them in their lane, and are looked at again every second.
  void SetDiskShort(bool disk_short) { disk_short_ = disk_short; }

  // Starts the requests that may start, as many as rules.max_step_work allows.
  // Gives the time until there may be something to do again, unless a notice or
  // a response comes first; kMoreToDo if more may start.
  Duration Step(Now now);
  static constexpr Duration kMoreToDo = Duration(0);

  // `destination` empty: all. Kept over restarts. False: no such destination.
  bool Pause(absl::string_view destination, bool paused);

  // Calls `done` once every item accepted so far was delivered or
  // dead-lettered, and sends partial batches until then. `destination` empty:
  // all. False: no such destination.
  bool Flush(absl::string_view destination, SettledCallback done);

  using Waiter = DestinationQueues::Waiter;
  // See DestinationQueues. The last call.
  std::vector<Waiter> TakeWaiters() { return queues_.TakeWaiters(); }

  // See DestinationQueues for these.
  std::vector<DestinationSnapshot> Snapshot(size_t first, size_t max,
                                            Now now) const {
    return queues_.Snapshot(first, max, now);
  }
  std::vector<DestinationFlow> Flows(MonotonicTime now) const {
    return queues_.Flows(now);
  }
  std::optional<DestinationSnapshot> SnapshotOf(absl::string_view destination,
                                                Now now) const {
    return queues_.SnapshotOf(destination, now);
  }
  std::shared_ptr<Backlog> BacklogOf(absl::string_view destination) const {
    return queues_.BacklogOf(destination);
  }
  uint64_t queued_items() const { return queues_.queued_items(); }

  // The requests of a lane that wait for their response, by id.
  std::vector<InFlightAttempt> InFlightAttempts(LaneId lane) const {
    return in_flight_.OfLane(lane);
  }
  size_t in_flight() const { return in_flight_.size(); }

 private:
  using Finished = std::vector<std::pair<SettledCallback, Settlement>>;

  void Adopt(DestinationQueues::Queues queues, std::vector<StoredUsage> usage,
             Now now);
  void Enqueue(DestinationQueue& queue);
  // These give the work that was done.
  uint64_t TryStart(QueuedLane& lane, Now now);
  uint64_t Pull(QueuedLane& lane, uint32_t max_items, Now now);
  // Stores the intent, and sends the request once that is done.
  void Send(QueuedLane& lane, Lane::Pull pull, SpoolChange change, Now now);
  HeapRequest BeginAttempt(QueuedLane& lane, AttemptId id, Batch batch,
                           Now now);
  bool OfferRegionSlot(MonotonicTime now);
  // Others need not wait any more for requests that have begun to hang.
  void BeginHanging(MonotonicTime now);
  // Where requests stall and there is nothing to probe with, because all that
  // waits, or every slot, is in requests that hang: gives one of them up.
  void FreeForProbe(const QueuedLane& lane, MonotonicTime now);
  void Wake(Endpoint endpoint);
  void OnStored(QueuedLane& lane, bool awaited, Finished finished);

  Spool& spool_;
  Committer& committer_;
  Transport& transport_;
  const DeliveryRules rules_;
  const AttemptSink sink_;
  const ExpirySink expired_;

  AttemptHistory history_;
  RegionSlots region_slots_;
  ResponseHandler responses_;
  RequestsInFlight in_flight_;
  LaneSchedule schedule_;
  Overtakers::Memory overtaking_memory_;  // of the lanes in `queues_`
  DestinationQueues queues_;
  RecentTraces traces_;
  bool disk_short_ = false;
  uint64_t epoch_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_H_
