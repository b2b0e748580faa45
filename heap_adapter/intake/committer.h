#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_COMMITTER_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_COMMITTER_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/intake/round_robin_queue.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// A lane that has come into being.
struct AddedLane {
  LaneId id = 0;
  LaneKey key;
};

// Items that have become durable.
struct Appended {
  LaneId lane = 0;
  SeqRange items;
  uint64_t text_bytes = 0;
  WallTime accepted_at;
  std::optional<TraceContext> trace = std::nullopt;
  SettledCallback on_settled;  // may be empty
};

// The outcome of a change that the dispatcher asked for.
struct Applied {
  uint64_t token = 0;
};

// Writes to the spool, alone. Everything that waits when it begins becomes one
// write with one sync, however many callers it answers (group commit). While
// one group is told, the next is synced already: telling many callers takes as
// long as a sync does. The lanes take turns in being told, so that a caller
// with one call does not wait for the thousands of another.
//
// After a failed write nothing is written any more: the write may have reached
// the disk or not, and no later sync could tell. Every caller then gets the
// error.
//
// A full disk is no such end. Its callers are refused, what the dispatcher
// asked for waits, and both go on when there is space again.
class Committer {
 public:
  struct Options {
    // Bytes and chunks that may wait for the disk. Beyond them Append refuses.
    // Larger: rides out slower disks, at the price of memory.
    size_t max_pending_bytes = 64 << 20;
    size_t max_pending_chunks = 1 << 16;
    // Where many callers come at once, a commit waits up to this long for half
    // as many as the last one had: each sync has its price, however few it is
    // for. Longer: fewer syncs, later answers. A caller who is alone never
    // waits.
    std::chrono::microseconds max_gather_delay{300};
    // Items are gathered into one block up to this many and this size.
    uint32_t max_block_items = 1'000;
    size_t max_block_bytes = 1 << 20;
  };
  // What a commit leads to, for the dispatcher; called from the answering
  // thread, after the callers of the same commit.
  struct Notices {
    std::vector<AddedLane> lanes;  // heard of before anything in them
    std::vector<Appended> appended;
    std::vector<Applied> applied;
  };
  using NoticeSink = std::function<void(Notices)>;
  // Called once, from the answering thread, with the sequences that the chunk's
  // items got. Must not block.
  using AppendDone = absl::AnyInvocable<void(absl::StatusOr<SeqRange>)>;
  // Adds what must be stored together with the chunk, once its sequences are
  // known. Called from the committing thread.
  using AppendAlong = absl::AnyInvocable<void(SeqRange, SpoolChange&)>;
  // As AppendDone, for a change without items.
  using ChangeDone = absl::AnyInvocable<void(absl::Status)>;

  // `spool` must outlive this. `lanes` are the lanes that chunks may go to.
  Committer(Spool& spool, const Options& options,
            const std::vector<StoredLane>& lanes, NoticeSink sink);

  // Makes a lane known that was not in `lanes`; it is stored with the next
  // commit that succeeds. Once for each lane, before its first chunk. Any
  // thread.
  void AddLane(LaneId id, LaneKey key);

  // Queues a chunk of at least one item. `done` is called unless this returns
  // an error: kResourceExhausted if too much waits already or the disk is full,
  // kUnavailable after StopAccepting(), kDataLoss after a failed write. `done`
  // gets kResourceExhausted if the disk turns out to be full. Any thread.
  absl::Status Append(LaneId lane, EncodedChunk chunk, AppendDone done,
                      SettledCallback on_settled = nullptr,
                      AppendAlong along = nullptr);

  // Queues a change. Changes are applied in the order of these calls; the sink
  // hears of `token` once it is; while the disk is full, that is later. After a
  // failed write it never does. Any thread.
  void Apply(SpoolChange change, uint64_t token);

  // Queues a change for a caller other than the dispatcher. Errors are those of
  // Append, but a change is never refused for its size. Any thread.
  absl::Status Change(SpoolChange change, ChangeDone done);

  // Calls `done` once everything that was queued before is stored, its callers
  // have their answers and the sink has its notices. It commits a change that
  // is empty, so it works after StopAccepting() too, until Stop(). Errors:
  // kUnavailable after Stop(), kDataLoss after a failed write; `done` gets the
  // latter as well. Any thread.
  absl::Status Barrier(ChangeDone done);

  // Refuses what Append() and Change() bring from now on; what is queued is
  // still written. Any thread.
  void StopAccepting();

  // Commits everything that waits and tells everybody, at once and on this
  // thread, or finds out whether a full disk has space again. False if nothing
  // waited.
  bool CommitPending();

  // Commits whatever comes until Stop(), then what waits still. Starts the
  // answering thread, and returns once that has told everybody.
  void Run();
  void Stop();

  // Whether the last write found the disk full. Any thread.
  bool disk_full() const { return disk_full_.load(std::memory_order_acquire); }

  // False once a write failed. Any thread.
  bool healthy() const { return healthy_.load(std::memory_order_acquire); }

  // What storage said when a write failed; empty while healthy. Any thread.
  std::string failure() const {
    MutexLock lock(mutex_);
    return failure_;
  }

  // Counters since the start. Any thread.
  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

 private:
  struct PendingAppend {
    LaneId lane;
    EncodedChunk chunk;
    AppendDone done;
    SettledCallback on_settled;
    AppendAlong along;
  };
  struct PendingChange {
    SpoolChange change;
    uint64_t token = 0;
    ChangeDone done =
        nullptr;  // set: it is called, and the token means nothing
  };
  struct Pending {
    std::vector<AddedLane> lanes;
    std::vector<PendingAppend> appends;
    std::vector<PendingChange> changes;
    size_t bytes = 0;
    bool empty() const { return appends.empty() && changes.empty(); }
  };
  // The end of a lane. Owned by the committing thread.
  struct Tail {
    Seq next = 0;
    uint64_t lane_bytes = 0;
    BlockBuilder block;
  };

  // What was committed, or could not be, and has to be told.
  struct Committed {
    absl::Status status;
    std::vector<AddedLane> lanes;        // stored with this commit
    std::vector<PendingAppend> appends;  // without their texts
    std::vector<Appended> appended;  // one for each append, once it is placed
    std::vector<PendingChange> changes;  // without their contents
  };
  struct Telling {
    Committed committed;
    size_t untold = 0;  // of its appends
  };
  struct Answer {
    Telling* telling = nullptr;
    size_t append = 0;
  };

  // Waits for what is worth a commit, or until a full disk is to be asked
  // again; none if this is the end.
  std::optional<Pending> Gather(size_t last_appends);
  Committed Commit(Pending pending);
  absl::Status Write(const SpoolChange& change);
  void TakeBack(const std::vector<Appended>& appended);
  void BeginTelling(Committed committed);
  void TellSome(size_t most);
  void TellTheRest(Committed committed);
  void TellUntilOver();
  SeqRange Place(const PendingAppend& append, SpoolChange& change,
                 std::vector<LaneId>& open_blocks);
  void CloseBlock(LaneId lane, SpoolChange& change);

  Spool& spool_;
  const Options options_;
  const NoticeSink sink_;
  absl::flat_hash_map<LaneId, Tail> tails_;
  std::vector<AddedLane> unstored_lanes_;
  // Changes that found the disk full, and wait for space. Owned by the
  // committing thread.
  std::vector<PendingChange> waiting_;
  SpoolChange waiting_change_;
  // Builders that have been used and keep their memory. The lanes share a few:
  // with one each, thousands of lanes would keep a block's size each.
  std::vector<BlockBuilder> spare_builders_;
  std::atomic<bool> healthy_{true};
  std::atomic<bool> disk_full_{false};
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> syncs_{0};

  mutable Mutex mutex_;
  CondVar wake_;
  Pending pending_ ABSL_GUARDED_BY(mutex_);
  // Appends that the committing thread wants to be woken for.
  size_t wanted_appends_ ABSL_GUARDED_BY(mutex_) = 1;
  std::string failure_ ABSL_GUARDED_BY(mutex_);
  bool accepting_ ABSL_GUARDED_BY(mutex_) = true;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  Mutex told_mutex_;
  CondVar told_wake_;
  std::vector<Committed> to_tell_ ABSL_GUARDED_BY(told_mutex_);
  bool told_all_ ABSL_GUARDED_BY(told_mutex_) = false;
  // Owned by the answering thread: commits in their order, and the answers of
  // all of them.
  std::deque<Telling> telling_;
  RoundRobinQueue<Answer> answers_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_COMMITTER_H_
