#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_H_

#include <cstdint>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "heap_adapter/delivery/batch.h"
#include "heap_adapter/delivery/deferred_items.h"
#include "heap_adapter/delivery/delivery_rules.h"
#include "heap_adapter/delivery/isolated_plans.h"
#include "heap_adapter/delivery/overtakers.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/scheduling/usage_ledger.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// Numbers of a lane's items since the start of the process.
struct LaneCounts {
  uint64_t appended = 0;
  uint64_t appended_elsewhere = 0;  // by other servers that share the spool
  uint64_t delivered = 0;
  uint64_t dead_lettered = 0;
  CountsByReason<uint64_t> dead_lettered_for{};  // by DeadLetterReason
  uint64_t coalesced = 0;
  uint64_t deferred = 0;
  uint64_t isolated = 0;

  // Wherever they were accepted.
  uint64_t arrived() const { return appended + appended_elsewhere; }
};

// The delivery of one destination's items of one type: what comes next, what is
// in flight, what is settled. It reads the spool by cursor and holds no items:
// a backlog costs no memory.
//
// If the type coalesces, all callers share the lane, and one with little
// waiting may go before the backlog of another; see Overtakers. Other types
// have a lane for each caller.
//
// Items of an identity that may not be sent now are deferred on disk, so that
// those behind them can pass; they come back when the identity is free. If the
// type coalesces, an identity is never in flight twice, and an older update
// never lands after a newer one.
//
// Pure but for reading the spool. The changes that its methods make to the
// spool must be applied in the order of the calls. One thread.
//
// A server has a lane for each destination and type, most of which are empty:
// queues are lists here and in what a lane is made of, since an empty
// std::deque takes 600 bytes.
class Lane {
 public:
  // From when on suspected plans and isolated items may be tried;
  // MonotonicTime::max() until an event that enqueues the lane.
  struct Trials {
    MonotonicTime suspected;
    MonotonicTime isolated;
  };
  // The rules for one pull.
  struct PullRules {
    Now now;
    const Destination& destination;
    // Null: Heap does not limit the type. Otherwise the batch that is taken
    // begins in it, and identities over their limit are watched there.
    UsageLedger* ledger;
    // Gives a new, larger id at each call.
    absl::FunctionRef<AttemptId()> next_id;
    // Items that this lane may take now, whatever the ledger would allow.
    uint32_t max_items = UsageLedger::kUnlimited;
    // False: the disk has no space for what would be written again.
    bool may_defer = true;
    Trials trials = {};
    // The pull ends after about this much Work, unless it is that of a plan.
    uint64_t max_work = kMaxStepWork;
  };
  struct Pull {
    // Counts as one more try; `body` is complete.
    std::optional<Batch> batch;
    // Id of the attempt to send `batch`; zero without a batch.
    AttemptId attempt = 0;
    // The lane must not be pulled again before the change is stored.
    bool awaits_change = false;
    // It stopped at an item that it could not defer for want of space.
    bool waits_for_space = false;
    // Items that became dead letters because of their age.
    uint64_t expired = 0;
    // What the pull has cost, in the unit of Work.
    uint64_t work = 0;
  };

  Lane(const Spool& spool, const StoredLane& stored,
       const std::vector<DeferredIdentity>& deferred);

  // Takes over a plan that was open when the process ended; oldest first,
  // before the first pull. Errors: storage that cannot be read.
  absl::Status Restore(AttemptId id, const PlanRecord& record);
  // Takes over an item that was isolated, and is not tried before `next_try`;
  // before the first pull. Errors: storage that cannot be read.
  absl::Status RestoreIsolated(const IsolatedItem& item,
                               MonotonicTime next_try);

  LaneId id() const { return id_; }
  const LaneKey& key() const { return key_; }
  // See TypePolicy.
  bool coalesces() const { return coalesces_; }

  // Items that are known already count once; any between those known and these
  // are new as well.
  void OnAppended(Appended appended, MonotonicTime now,
                  const OvertakingBounds& bounds, Overtakers::Memory& memory);

  // When a pull is worth it: at once for a full batch or anything that waited
  // already; none if nothing waits, or only an event can change that.
  std::optional<MonotonicTime> ReadyAt(const BatchRules& rules,
                                       const Trials& trials) const;
  // Lets what waits now go without waiting for company.
  void FlushPartialBatches() { flush_below_ = head_; }

  // Takes the next batch and adds to `change`, which must be empty, what has to
  // be stored before it is sent. Suspected plans and others take turns. The
  // items of the batch are in flight until Deliver(), Return(), TryLater(),
  // ReturnPart(), Isolate(), WaitAlone() or MoveToDeadLetters() is called for
  // each. Errors: storage that cannot be read; `change` is empty then.
  absl::StatusOr<Pull> Next(const PullRules& rules, SpoolChange& change);

  // Heap took them.
  void Deliver(const Batch& batch, SpoolChange& change);
  // The batch is to be sent again unchanged, before anything else of its
  // standing.
  void Return(const Batch& batch) {
    Requeue(batch.PlanOf(0, batch.items.size()));
  }
  void Return(BatchPlan plan) { Requeue(std::move(plan)); }
  // A suspected plan is to be tried after the others that are.
  void TryLater(BatchPlan plan);
  // A part of a batch is to be sent in a request of its own that is stored as
  // `id`: before anything else of its standing, or after it.
  enum class Place { kFirst, kLast };
  void ReturnPart(BatchPlan part, AttemptId id, Place place,
                  SpoolChange& change);
  // The only item of `batch` is stored apart, and tried alone from `next_try`
  // on. Errors: storage that cannot be read; nothing has changed then.
  absl::Status Isolate(const Batch& batch, WallTime now, MonotonicTime next_try,
                       SpoolChange& change);
  // An isolated item is tried again at `next_try`; `plan` is that of its batch.
  void WaitAlone(BatchPlan plan, MonotonicTime next_try, SpoolChange& change);
  // Heap refused one of them permanently. Errors: storage that cannot be read.
  absl::Status MoveToDeadLetters(const BatchItem& item, DeadLetter letter,
                                 SpoolChange& change);

  // True if deferred items have ended since the last call. The changes made
  // until now must then be stored before the next pull, which would read those
  // items again otherwise.
  bool TakeDeferredEnded() { return deferred_.TakeEnded(); }

  // Identities that the ledger has freed.
  void OnFreed(uint64_t identity_hash);

  // Forgets where some items went that were coalesced or replayed before
  // `before`, and whose carrier Heap took since: nothing is told of them any
  // more but that they were delivered. Does a little each time. Errors: storage
  // that cannot be read.
  absl::Status ForgetForwardings(WallTime before, SpoolChange& change);

  SettlementWaiters& waiters() { return waiters_; }

  // Items that are neither delivered nor dead-lettered, and their text.
  uint64_t queued_items() const { return queued_items_; }
  uint64_t queued_bytes() const { return queued_bytes_; }
  uint64_t deferred_items() const { return deferred_.items(); }
  // Those of the deferred items that wait alone.
  uint64_t isolated_items() const { return isolated_items_.size(); }
  // Suspected plans that are not in flight.
  size_t suspected_plans() const { return suspected_.size(); }
  Seq head() const { return head_; }
  const LaneProgress& progress() const { return progress_; }
  const LaneCounts& counts() const { return counts_; }
  // True if items wait for the ledger to free an identity.
  bool waits_for_ledger() const {
    return deferred_.items() > 0 || !held_.empty();
  }
  bool idle() const {
    return cursor_ == head_ && retries_.empty() && suspected_.empty() &&
           held_.empty() && !deferred_.HasReady();
  }
  // The first item that is not settled; head() if there is none.
  Seq first_unsettled() const {
    return progress_.settled.NextAbsent(progress_.low_watermark);
  }
  // At most `max` identities that have deferred items which are not isolated.
  std::vector<uint64_t> SomeDeferredIdentities(size_t max) const {
    return deferred_.SomeIdentities(
        max, [this](Seq seq) { return isolated_items_.contains(seq); });
  }

 private:
  struct Mark {
    Seq end;
    MonotonicTime since;
  };
  class Puller;

  std::optional<MonotonicTime> TrustedReadyAt(const BatchRules& rules) const;
  std::optional<BatchPlan> TakePlan(const PullRules& rules);
  void Requeue(BatchPlan plan);
  void StorePlan(BatchPlan& plan, AttemptId id, SpoolChange& change) const;
  void Release(uint64_t identity_hash);
  void PassSettledBlocks();
  void StoreProgress(SpoolChange& change);
  void EndItem(const BatchItem& item, bool delivered, SpoolChange& change);
  void Dequeue(uint64_t items, uint64_t bytes);
  absl::StatusOr<DeferredItem> WholeOf(const BatchItem& item) const;

  const Spool& spool_;
  const LaneId id_;
  const LaneKey key_;
  const bool coalesces_;

  Seq head_;
  uint64_t lane_bytes_;  // of text of all items before head_
  Seq cursor_;
  LaneProgress progress_;
  std::list<Mark> marks_;  // when the items from cursor_ on arrived
  Seq flush_below_ = 0;
  uint64_t waiting_bytes_ = 0;  // text from cursor_ on
  std::list<Seq> read_blocks_;  // blocks read and not yet deleted
  Seq next_forwarding_ = 0;     // where to go on forgetting
  std::list<BatchPlan> retries_;
  std::list<BatchPlan> held_;  // parts whose identity is over its limit
  std::list<BatchPlan> suspected_;
  bool suspected_next_ = false;  // it is the turn of a suspected plan
  IsolatedPlans isolated_;
  absl::flat_hash_set<Seq> isolated_items_;  // in flight or not
  DeferredItems deferred_;
  // Items from cursor_ on that are in flight, or in plans.
  SeqSet ahead_;
  Overtakers overtakers_;  // if the type coalesces
  // If the type coalesces: the identities in flight.
  absl::flat_hash_set<uint64_t> in_flight_;
  SettlementWaiters waiters_;
  uint64_t queued_items_ = 0;
  uint64_t queued_bytes_ = 0;
  LaneCounts counts_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_H_
