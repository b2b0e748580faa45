#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DESTINATION_QUEUE_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DESTINATION_QUEUE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "heap_adapter/delivery/lane.h"
#include "heap_adapter/delivery/lane_schedule.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/delivery/suspicion.h"
#include "heap_adapter/intake/backlog.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/model/response_class.h"
#include "heap_adapter/scheduling/caller_shares.h"
#include "heap_adapter/scheduling/concurrency_limit.h"
#include "heap_adapter/scheduling/recent_rate.h"
#include "heap_adapter/scheduling/usage_ledger.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

class DestinationQueue;

// The meaning of a request in flight for the others of its lane.
enum class RequestRole : uint8_t {
  kUsual,
  kProbe,  // of a failing lane, which sends no other meanwhile
  // It is without a response for so long that the lane may probe beside it.
  kHanging,
};

// A lane and the state of its deliveries.
struct QueuedLane {
  QueuedLane(const Spool& spool, const StoredLane& stored,
             const std::vector<DeferredIdentity>& deferred,
             DestinationQueue& queue_in)
      : lane(spool, stored, deferred), queue(queue_in), schedule(stored.id) {}

  LaneId id() const { return schedule.id; }
  ObjectType type() const { return lane.key().type; }

  Lane lane;
  DestinationQueue& queue;
  ScheduledLane schedule;
  int awaited_changes = 0;  // that must be stored before the next pull
  int in_flight = 0;        // requests of trusted plans that do not hang
  int hanging = 0;          // requests that do, of any plan but isolated ones
  int failures = 0;         // in a row, not counting suspected plans
  MonotonicTime not_before;
  MonotonicTime heap_wants_until;  // asked for with Retry-After
  int suspected_in_flight = 0;     // that do not hang
  int suspected_failures = 0;      // in a row, without proof; see Suspicion
  MonotonicTime suspected_not_before;
  MonotonicTime refused_at;  // last, as by a wrong set-up
  MonotonicTime next_forgetting;
  bool limit_holds = false;  // nothing but the limit keeps it from sending
  RecentRate delivered;
};

// The deliveries of one destination: its lanes, the limits that they share, and
// the state of the way to Heap. Decides which of its lanes may send now; sends
// nothing itself.
//
// One thread, but for the backlog. Times must not go backwards.
class DestinationQueue {
 public:
  // `destination` must outlive this, or the next SetDestination().
  explicit DestinationQueue(const Destination& destination);

  const Destination& destination() const { return *destination_; }
  // From now on limits, batches, region and App ID are those of `destination`,
  // for all that is not in flight. The usage of the limits remains.
  void SetDestination(const Destination& destination, MonotonicTime now);

  // REQUIRES: there is no lane with this id yet.
  QueuedLane& AddLane(const Spool& spool, const StoredLane& stored,
                      const std::vector<DeferredIdentity>& deferred);
  const std::vector<std::unique_ptr<QueuedLane>>& lanes() const {
    return lanes_;
  }

  // Null: Heap does not limit the type.
  UsageLedger* LedgerOf(ObjectType type);

  // When a pull of the lane is worth it, see Lane::ReadyAt(), and what it may
  // take then.
  std::optional<MonotonicTime> ReadyAt(const QueuedLane& lane) const {
    return lane.lane.ReadyAt(destination_->batch, TrialsOf(lane));
  }
  Lane::Trials TrialsOf(const QueuedLane& lane) const;
  // Until when the lane may not send; MonotonicTime::max() if an event that
  // enqueues the lane ends it, none if it may send.
  std::optional<MonotonicTime> BlockedUntil(const QueuedLane& lane,
                                            MonotonicTime now) const;
  // Returns what the ledger has freed by `now` to the lanes of the type that
  // wait for it, of all callers. Gives these lanes.
  std::vector<QueuedLane*> ReleaseUsage(ObjectType type, MonotonicTime now);
  // Items that the lane may take, and the lane whose turn it is: among those of
  // the type that may send, the one that used least of the limit.
  struct Turn {
    QueuedLane* lane = nullptr;
    uint32_t max_items = 0;
  };
  Turn TurnOf(QueuedLane& candidate, Now now);
  // When a lane that got no items may ask again; none if nothing has ended yet,
  // so that the end of a request in flight is what enqueues it.
  std::optional<MonotonicTime> NextAllowance(const QueuedLane& lane,
                                             MonotonicTime now);

  // A request of the lane goes out.
  RequestRole Begin(QueuedLane& lane, Standing standing);
  // It hangs from now on: the failing lane may probe again at `next_probe`.
  // REQUIRES: `role` is that of Begin().
  void BeginHanging(QueuedLane& lane, Standing standing, RequestRole role,
                    MonotonicTime next_probe);
  // `used_before`: what the lane had used of the limit before it.
  void CountUsage(QueuedLane& lane, uint64_t used_before, MonotonicTime now);
  // Its response is there.
  void End(QueuedLane& lane, Standing standing, RequestRole role);

  // What is known of failures of the type's items.
  Suspicion& SuspicionOf(ObjectType type) { return Of(type).suspicion; }

  // Heap took a batch of the lane after `latency`.
  void OnDelivered(QueuedLane& lane, Duration latency);
  // It refused the content of one, and so is there.
  void OnRefused(QueuedLane& lane);
  // An item of the type was not delivered. Gives for how long none was, while
  // the destination was not paused.
  Duration OnFailing(ObjectType type, MonotonicTime now);
  void OnThrottled(ObjectType type);
  // A request failed as in an outage.
  void OnOutage(RequestRole role);
  // Everything of the type is refused. Gives the number of times in a row.
  int OnMisconfigured(ObjectType type) {
    return ++Of(type).misconfigured_failures;
  }
  // The type was answered otherwise. If that is new, what holds the other types
  // may have ended as well, and they may go at once.
  void OnReached(ObjectType type);
  // Heap is back for the type: what waits for no reason but its failures may go
  // at once.
  void EndWaits(ObjectType type);
  // Nothing of the type is sent before `time`.
  void HoldUntil(ObjectType type, MonotonicTime time);
  // Shown to people; must not contain Heap's text.
  void SetLastError(std::string error, ErrorOrigin origin, WallTime at);

  void SetPaused(bool paused);

  // To be called when items came or went.
  void UpdateBacklog(MonotonicTime now);
  // Reserved and read by any thread.
  // May outlive the queue.
  const std::shared_ptr<Backlog>& backlog() const { return backlog_; }

  DestinationFlow Flow(MonotonicTime now) const;
  // Does not read the spool.
  DestinationSnapshot Snapshot(MonotonicTime now) const;

 private:
  // The lanes of one type, and the limit that they share.
  struct OfType {
    std::optional<UsageLedger> ledger;  // none: Heap does not limit the type
    std::vector<QueuedLane*> lanes;
    CallerShares shares;  // accounts are lanes
    Suspicion suspicion;
    int in_flight = 0;
    bool probing = false;            // a request of a failing lane is in flight
    int misconfigured_failures = 0;  // in a row
    MonotonicTime held_until;
    // The first failure since something was delivered.
    std::optional<MonotonicTime> failing_since;
  };
  OfType& Of(ObjectType type) { return types_[IndexOf(type)]; }

  void CountAwaited(QueuedLane& lane, Standing standing, RequestRole role,
                    int change);
  bool Probing(ObjectType type) const;
  DestinationState State() const;
  static bool HeldByLimit(const std::vector<QueuedLane*>& lanes);
  std::optional<Duration> DrainedIn(MonotonicTime now) const;

  const Destination* destination_;  // never null
  std::array<OfType, kObjectTypes.size()> types_;
  std::vector<std::unique_ptr<QueuedLane>> lanes_;
  ConcurrencyLimit concurrency_;
  int in_flight_ = 0;
  // The special ones among them; each is counted once.
  int suspected_in_flight_ = 0;
  int isolated_in_flight_ = 0;
  int trusted_probes_ = 0;
  int hanging_ = 0;
  int outage_failures_ = 0;  // since anything got through
  bool paused_ = false;
  MonotonicTime held_until_;
  std::string last_error_;
  ErrorOrigin last_error_origin_ = ErrorOrigin::kHeap;
  std::optional<WallTime> last_error_at_;
  const std::shared_ptr<Backlog> backlog_ = std::make_shared<Backlog>();
  MonotonicTime next_forecast_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DESTINATION_QUEUE_H_
