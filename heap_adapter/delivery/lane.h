#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_H_

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "heap_adapter/delivery/batch.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/scheduling/usage_ledger.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// What has become of a lane's items since the start of the process.
struct LaneCounts {
  uint64_t appended = 0;
  uint64_t delivered = 0;
  uint64_t dead_lettered = 0;
  // The same by DeadLetterReason.
  std::array<uint64_t, kDeadLetterReasons + 1> dead_lettered_for{};
  uint64_t merged = 0;
  uint64_t deferred = 0;
};

// The delivery of one destination's items of one type: what comes next, what is
// in flight, what is settled. It reads the spool by cursor and holds no items:
// a backlog costs no memory.
//
// Items of an identity that may not be sent now are deferred on disk, so that
// those behind them can pass; they come back when the identity is free. If the
// type coalesces, an identity is never in flight twice, and an older update
// never lands after a newer one.
//
// Pure but for reading the spool. The changes that its methods make to the
// spool must be applied in the order of the calls. One thread.
class Lane {
 public:
  // What a pull may take and by which rules. `ledger` may be null: no limits.
  struct PullRules {
    Now now;
    const Destination& destination;
    UsageLedger* ledger;
    Duration max_age;
    // Items that this lane may take now, whatever the ledger would allow.
    uint32_t max_items = UsageLedger::kUnlimited;
    // False: the disk has no space for what is written anew.
    bool may_defer = true;
  };
  struct Pull {
    std::optional<Batch> batch;
    Usage usage;  // what `batch` takes from the ledger
    SpoolChange change;
    // Items were deferred: `change` must be applied before the next pull.
    bool deferred = false;
    // Identities to watch in the ledger once `usage` has begun.
    std::vector<uint64_t> over_limit;
    // The stored plan that `batch` came from; `batch` replaces it.
    AttemptId used_plan = 0;
    // What of a refused batch must wait for its identity's limit; for Hold(),
    // once its plan is stored.
    std::optional<BatchPlan> held;
    // It stopped at an item that it could not defer for want of space.
    bool waits_for_space = false;
  };

  Lane(const Spool& spool, const StoredLane& stored,
       const std::vector<DeferredIdentity>& deferred);

  // Takes over a plan that was open when the process ended; oldest first,
  // before the first pull. Errors: storage that cannot be read.
  absl::Status Restore(AttemptId id, const PlanRecord& record);

  LaneId id() const { return id_; }
  const LaneKey& key() const { return key_; }
  // See TypePolicy.
  bool coalesces() const { return coalesces_; }

  void OnAppended(Appended appended, MonotonicTime now);

  // When a pull is worth it: at once for a full batch or anything that waited
  // already; none if nothing waits.
  std::optional<MonotonicTime> ReadyAt(const BatchRules& rules) const;
  // Lets what waits now go without waiting for company.
  void FlushPartialBatches() { flush_below_ = head_; }

  // Takes the next batch. Its items are in flight until one of the four methods
  // below is called for each. Errors: storage that cannot be read.
  absl::StatusOr<Pull> Next(const PullRules& rules);

  // Heap took them.
  void Deliver(const Batch& batch, SpoolChange& change);
  // They are to be sent again, before anything else; in this grouping.
  void Return(BatchPlan plan) { retries_.push_front(std::move(plan)); }
  // They wait until the ledger frees an identity.
  void Hold(BatchPlan plan) { held_.push_back(std::move(plan)); }
  // Heap refused one of them for good. Errors: storage that cannot be read.
  absl::Status MoveToDeadLetters(const BatchItem& item, DeadLetter letter,
                                 SpoolChange& change);

  // Whether items deferred have ended since the last call. If so, the changes
  // made until now must be applied before the next pull, or it would read them
  // again.
  bool TakeDeferredEnded() { return std::exchange(deferred_ended_, false); }

  // Identities that the ledger has freed.
  void OnFreed(uint64_t identity_hash);

  // Forgets where some items went that were merged or replayed before `before`,
  // and whose carrier Heap took since: nothing is told of them any more but
  // that they were delivered. Does a little each time. Errors: storage that
  // cannot be read.
  absl::Status ForgetForwardings(WallTime before, SpoolChange& change);

  SettlementWaiters& waiters() { return waiters_; }

  // Items that are neither delivered nor dead-lettered, and their text.
  uint64_t queued_items() const { return queued_items_; }
  uint64_t queued_bytes() const { return queued_bytes_; }
  uint64_t deferred_items() const { return deferred_items_; }
  Seq head() const { return head_; }
  const LaneProgress& progress() const { return progress_; }
  const LaneCounts& counts() const { return counts_; }
  // Whether something waits for the ledger to free an identity.
  bool waits_for_ledger() const {
    return deferred_items_ > 0 || !held_.empty();
  }
  bool idle() const {
    return cursor_ == head_ && retries_.empty() && held_.empty() &&
           deferred_ready_.empty();
  }
  // The first item that is not settled; head() if there is none.
  Seq first_unsettled() const {
    return progress_.settled.NextAbsent(progress_.low_watermark);
  }
  // Some of the identities with items deferred.
  std::vector<uint64_t> SomeDeferredIdentities(size_t most) const;

 private:
  struct Deferred {
    uint64_t items = 0;  // that wait, not counting those in flight
    Seq next = 0;        // where to read on
    Seq last = 0;
    SeqSet in_flight;
    bool ready = false;  // stands in deferred_ready_
  };
  struct Mark {
    Seq end;
    MonotonicTime since;
  };
  class Puller;

  void MakeReady(uint64_t identity_hash, Deferred& deferred);
  void MakeDeferredReady(uint64_t identity_hash);
  void Release(uint64_t identity_hash);
  void PassSettledBlocks();
  void StoreProgress(SpoolChange& change);
  void EndItem(const BatchItem& item, bool delivered, SpoolChange& change);
  void Dequeue(uint64_t items, uint64_t bytes);
  absl::StatusOr<std::string> TextOf(const BatchItem& item) const;

  const Spool& spool_;
  const LaneId id_;
  const LaneKey key_;
  const bool coalesces_;

  Seq head_;
  Seq cursor_;
  LaneProgress progress_;
  std::deque<Mark> marks_;  // when the items from cursor_ on arrived
  Seq flush_below_ = 0;
  uint64_t waiting_bytes_ = 0;   // text from cursor_ on
  std::deque<Seq> read_blocks_;  // blocks read and not yet deleted
  Seq next_forwarding_ = 0;      // where to go on forgetting
  std::deque<BatchPlan> retries_;
  std::deque<BatchPlan> held_;  // parts whose identity is over its limit
  absl::flat_hash_map<uint64_t, Deferred> deferred_;
  std::deque<uint64_t> deferred_ready_;
  SeqSet restored_;  // items from cursor_ on that are in restored plans
  // If the type coalesces: the identities in flight.
  absl::flat_hash_set<uint64_t> in_flight_;
  SettlementWaiters waiters_;
  uint64_t queued_items_ = 0;
  uint64_t queued_bytes_ = 0;
  uint64_t deferred_items_ = 0;
  bool deferred_ended_ = false;
  LaneCounts counts_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_LANE_H_
