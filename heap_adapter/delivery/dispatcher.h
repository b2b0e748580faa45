#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "heap_adapter/delivery/attempt_history.h"
#include "heap_adapter/delivery/lane.h"
#include "heap_adapter/delivery/recent_traces.h"
#include "heap_adapter/delivery/region_slots.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/intake/backlog.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/type_policy.h"
#include "heap_adapter/scheduling/backoff.h"
#include "heap_adapter/scheduling/caller_shares.h"
#include "heap_adapter/scheduling/concurrency_limit.h"
#include "heap_adapter/scheduling/recent_rate.h"
#include "heap_adapter/scheduling/usage_ledger.h"
#include "heap_adapter/spool/spool.h"
#include "heap_adapter/transport/classify.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

struct DeliveryRules {
  // Where each region's requests go: scheme and host, no slash at the end. In
  // the order of kRegions.
  std::array<std::string, kRegions.size()> region_urls = HeapUrls();
  static std::array<std::string, kRegions.size()> HeapUrls() {
    std::array<std::string, kRegions.size()> urls;
    for (const RegionRow& row : kRegions) {
      urls[IndexOf(row.region)] = std::string(row.url);
    }
    return urls;
  }

  // Requests in flight at once. Each holds one body in memory. The regions have
  // their own bounds, so that a region that hangs cannot take every slot.
  int max_in_flight = 64;
  int max_in_flight_per_region = 32;

  BackoffRules backoff;
  // For a destination that needs a person: asking often would not help.
  BackoffRules misconfigured_backoff{.initial = std::chrono::seconds(30),
                                     .factor = 2.0,
                                     .cap = std::chrono::minutes(10)};

  // Older items are dead-lettered instead of sent.
  Duration max_age = std::chrono::hours(7 * 24);

  // Whether requests carry the trace of the first of their items that has one.
  bool send_traceparent = true;
};

// Where a request stands in a trace: its items may have come in many, so it
// belongs to that of the first which has one, with a span of its own.
struct BatchTrace {
  TraceContext context;
  uint64_t span;  // of this attempt
};

// One attempt, for logs and metrics.
struct AttemptEvent {
  const Destination& destination;
  ObjectType type;
  uint64_t batch_id;
  AttemptId attempt_id;
  int tries;
  const std::vector<BatchItem>& items;
  WallTime ended_at;
  const std::optional<BatchTrace>& trace;
  const Verdict& verdict;
  Duration latency;          // of the request
  Duration oldest_item_age;  // since acceptance
  std::optional<Duration> next_try_in;
};

// Decides what is sent when, and what each answer leads to. Lanes take turns;
// limits, backoff and holds are kept per destination, so none delays another.
// Of one destination's callers, whoever uses least of its limit goes first, and
// a small part of the limit is kept for those who use less than their share: a
// caller with a long backlog does not delay the rest.
//
// Belongs to one thread and holds no lock; time and randomness come in as
// arguments, requests leave through the transport and changes through the
// committer.
class Dispatcher {
 public:
  using EventSink = std::function<void(const AttemptEvent&)>;

  // Everything given by reference must outlive this. `lanes` has a lane for
  // each destination and type; those of no destination are left alone.
  // `random01` gives numbers drawn evenly from [0, 1).
  Dispatcher(Spool& spool, Committer& committer, Transport& transport,
             const DeliveryRules& rules,
             const std::vector<Destination>& destinations,
             std::function<double()> random01, EventSink events);

  // Takes over what the spool holds: lanes, items deferred, and the limits
  // that attempts before this start have used. `epoch` is that of `now`, see
  // Clock::Epoch(): what ended before another epoch counts as if it ended now,
  // since nothing tells how long ago that was. Call once, first. Errors: those
  // of reading the spool.
  absl::Status Recover(const std::vector<StoredLane>& lanes, Now now,
                       uint64_t epoch);

  // From now on `destination` is what its name means: a new one, or what an
  // old one has become. Limits, batches, region and App ID count for all that
  // is not in flight; the limits that were used stay used. A new one takes over
  // its lanes among `lanes`, as Recover() does; those of one that is known
  // already are not looked at. `destination` must outlive this. Errors: those
  // of reading the spool.
  absl::Status SetDestination(const Destination& destination,
                              const std::vector<StoredLane>& lanes, Now now);

  void OnNotices(Committer::Notices notices, Now now);
  void OnResponses(const std::vector<HeapResponse>& answers, Now now);

  // While the disk is short of space, items whose identity is over its limit
  // are not deferred, which would write them anew: they hold up those that came
  // after them in their lane, and are looked at again every second.
  void SetDiskShort(bool disk_short) { disk_short_ = disk_short; }

  // Starts every request that may start. Gives the time until there may be
  // something to do again, unless a notice or an answer comes first.
  Duration Step(Now now);

  // `destination` empty: all. Kept over restarts. False: no such destination.
  bool Pause(absl::string_view destination, bool paused);

  // Calls `done` once every item accepted so far was delivered or
  // dead-lettered, and lets what waits for company go. False: no such
  // destination.
  bool Flush(absl::string_view destination, SettledCallback done);

  // Without reading the spool. SnapshotOf: none for an unknown destination.
  std::vector<DestinationSnapshot> Snapshot(Now now) const;
  std::optional<DestinationSnapshot> SnapshotOf(absl::string_view destination,
                                                Now now) const;
  // The requests of a lane that wait for their answer.
  std::vector<InFlightAttempt> InFlightAttempts(LaneId lane) const;

  // What waits for a destination; null if there is none of this name. Lives as
  // long as the dispatcher, and may be read by any thread.
  const Backlog* BacklogOf(absl::string_view destination) const;

  // Items of all lanes that are not settled, and requests in flight.
  uint64_t queued_items() const;
  size_t in_flight() const { return in_flight_.size(); }

 private:
  struct LaneState {
    LaneState(const Spool& spool, const StoredLane& stored,
              const std::vector<DeferredIdentity>& deferred,
              size_t target_index)
        : lane(spool, stored, deferred), target(target_index) {}
    Lane lane;
    size_t target;
    bool queued = false;  // stands in ready_
    // Changes to items deferred that must be stored before the next pull.
    int awaiting = 0;
    int in_flight = 0;
    int failures = 0;  // in a row
    MonotonicTime not_before;
    std::optional<MonotonicTime> wake_at;
    MonotonicTime next_forgetting;
    bool limit_holds = false;  // it waits for no other reason than that limit
    RecentRate delivered;
  };
  struct Target {
    explicit Target(const Destination& destination);
    // Never null.
    const Destination* destination;
    // The lanes of one type, and the limit that they share.
    struct OfType {
      std::optional<UsageLedger> ledger;  // none: Heap does not limit the type
      std::vector<LaneId> lanes;
      CallerShares shares;  // accounts are lanes
    };
    OfType& Of(ObjectType type) { return types[IndexOf(type)]; }
    // Null: Heap does not limit the type.
    UsageLedger* LedgerOf(ObjectType type);

    std::array<OfType, kObjectTypes.size()> types;
    ConcurrencyLimit concurrency;
    std::vector<LaneId> lanes;
    int in_flight = 0;
    bool probing = false;  // a request of a failing lane is in flight
    bool paused = false;
    int misconfigured_failures = 0;
    MonotonicTime held_until;
    std::string last_error;
    std::optional<WallTime> last_error_at;
    Backlog backlog;
    MonotonicTime next_forecast;
  };
  struct InFlight {
    LaneId lane;
    Batch batch;
    Now started;
    std::optional<BatchTrace> trace = std::nullopt;
    Region region = Region::kUs;  // whose slot it holds
    bool probe = false;
  };
  using Finished = std::vector<std::pair<SettledCallback, Settlement>>;

  // After the spool could not be read, or the disk had no space.
  static constexpr Duration kStorageRetry = std::chrono::seconds(1);

  LaneState& StateOf(LaneId lane) { return *lanes_.find(lane)->second; }
  Target& TargetOf(const LaneState& state) { return *targets_[state.target]; }
  DestinationState ConditionOf(const Target& target) const;
  bool HeldByLimit(const std::vector<LaneId>& lanes) const;
  std::optional<Duration> DrainedIn(const Target& target, Now now) const;
  DestinationSnapshot SnapshotOf(const Target& target, Now now) const;

  void AddLane(const StoredLane& stored,
               const std::vector<DeferredIdentity>& deferred, size_t target);
  void Enqueue(LaneId lane);
  void WakeAt(LaneId lane, MonotonicTime time);
  void EnqueueLanesOf(Target& target);
  void UpdateBacklog(Target& target, Now now);
  void TryStart(LaneId lane, Now now);
  void TakeBackUsage(Target& target, LaneState& state, Now now);
  void Pull(LaneId lane, uint32_t max_items, Now now);
  LaneId WhoseTurn(Target& target, LaneId candidate, Now now);
  std::optional<MonotonicTime> BlockedUntil(LaneState& state, Now now);
  void Start(LaneId lane, Lane::Pull pull, Now now);
  std::optional<BatchTrace> TraceOf(LaneId lane, const Batch& batch,
                                    AttemptId attempt) const;
  void StorePlan(LaneId lane, BatchPlan& plan, Now now, SpoolChange& change);
  bool OfferRegionSlot();
  // The continuation of a change: settles what has finished and, if the lane
  // awaited the change, lets it go on.
  void OnStored(LaneId lane, bool awaited, Finished finished);
  void OnResponse(const HeapResponse& answer, Now now);
  void EndAttempt(InFlight& attempt, const Verdict& verdict,
                  const HeapResponse& answer, AttemptId id, Now now,
                  SpoolChange& change);
  std::optional<Duration> Judge(InFlight& attempt, const Verdict& verdict,
                                const HeapResponse& answer, Now now,
                                SpoolChange& change);
  void Split(InFlight& attempt, const Verdict& verdict,
             const HeapResponse& answer, Now now, SpoolChange& change);
  void Prune(LaneState& state, Now now, SpoolChange& change);
  absl::Status RecoverUsage(Now now);
  absl::Status AddTarget(const Destination& destination,
                         const std::vector<StoredLane>& lanes, Now now);

  Spool& spool_;
  Committer& committer_;
  Transport& transport_;
  const DeliveryRules rules_;
  const std::function<double()> random01_;
  const EventSink events_;

  AttemptHistory history_;
  RegionSlots region_slots_;
  std::vector<std::unique_ptr<Target>> targets_;
  absl::flat_hash_map<std::string, size_t> target_by_name_;
  absl::flat_hash_map<LaneId, std::unique_ptr<LaneState>> lanes_;
  std::deque<LaneId> ready_;
  absl::btree_set<std::pair<MonotonicTime, LaneId>> wakes_;
  absl::flat_hash_map<AttemptId, InFlight> in_flight_;
  RecentTraces traces_;
  bool disk_short_ = false;
  uint64_t epoch_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_H_
