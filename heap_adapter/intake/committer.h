#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_COMMITTER_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_COMMITTER_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/pause_watch.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/intake/backlog.h"
#include "heap_adapter/intake/notifier.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// Writes to the spool, alone. Everything that waits when it begins becomes one
// write with one sync, however many callers it answers (group commit). The
// results are handed over by the Notifier.
//
// After a failed write nothing is written any more: the write may have reached
// the disk or not, and no later sync could tell. Every caller then gets the
// error.
//
// A shared spool has committers in several servers. A commit with items then
// begins with the ends that its lanes have by then in the store, which nobody
// else changes before it is written. Items whose callers have given up by then
// are not stored: such a caller may have repeated its call at another server,
// and what it sent there must not come before what it gave up. After a pause of
// the process it is not known which callers have, so everything of before is
// refused.
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
    // For a shared spool. Must outlive the committer; null: there are no
    // pauses.
    const PauseWatch* pauses = nullptr;
  };
  using Notices = CommitNotices;
  using NoticeSink = Notifier::Sink;
  using WakeSink = Notifier::Wake;
  using AppendDone = Notifier::AppendDone;
  using ChangeDone = Notifier::ChangeDone;
  // Adds what must be stored together with the chunk, once its sequences are
  // known. Called from the committing thread.
  using AppendAlong = absl::AnyInvocable<void(SeqRange, SpoolChange&)>;
  // Whether the caller of an append still waits for the answer. Called until
  // the append is answered, from the committing thread.
  using StillWanted = absl::AnyInvocable<bool() const>;
  // The continuation of a change that the dispatcher asked for.
  using Applied = absl::AnyInvocable<void()>;

  // `spool` must outlive this. `lanes` are the lanes that chunks may go to.
  Committer(Spool& spool, const Options& options,
            const std::vector<StoredLane>& lanes, NoticeSink sink,
            WakeSink wake = nullptr);

  // Makes a lane known that was not in `lanes`; it is stored with the next
  // commit that succeeds. Once for each lane, before its first chunk. Any
  // thread.
  void AddLane(LaneId id, LaneKey key);

  // Queues a chunk of at least one item. `reservation` is given to the sink
  // with the notice, or back if the chunk is not stored. `done` is called
  // unless this returns
  // an error: kResourceExhausted if too much waits already or the disk is full,
  // kUnavailable after StopAccepting(), kDataLoss after a failed write. `done`
  // gets kResourceExhausted if the disk turns out to be full. With
  // `still_wanted` and a shared spool it gets kCancelled if the caller has
  // given up before the items were stored, and kAborted if the process paused.
  // Any thread.
  absl::Status Append(LaneId lane, EncodedChunk chunk, AppendDone done,
                      SettledCallback on_settled = nullptr,
                      StillWanted still_wanted = nullptr,
                      AppendAlong along = nullptr,
                      Backlog::Reservation reservation = {});

  // Queues a change for the dispatcher. Changes are applied in the order of
  // these calls. Once it is stored, `done` goes to the sink, and the dispatcher
  // runs it on its own thread; while the disk is full, that is later. After a
  // failed write `done` is destroyed without a call. It may be null. Any
  // thread.
  void Apply(SpoolChange change, Applied done);

  // Queues a change for a caller other than the dispatcher. Errors are those of
  // Append, but a change is never refused for its size. Any thread.
  absl::Status Change(SpoolChange change, ChangeDone done);

  // Calls `done` once everything that was queued before is stored, the sink has
  // its notices and its callers have their answers. It commits a change that
  // is empty, so it works after StopAccepting() too, until Stop(). Errors:
  // kUnavailable after Stop(), kDataLoss after a failed write; `done` gets the
  // latter as well. Any thread.
  absl::Status Barrier(ChangeDone done);

  // For a shared spool: looks which items others have appended, and notifies
  // the sink of them. With kAll it is notified of all lanes and their ends,
  // known ones too. Any thread.
  enum class Look { kNew, kAll };
  void LookForAppends(Look look);

  // Refuses what Append() and Change() bring from now on; what is queued is
  // still written. Any thread.
  void StopAccepting();

  // Commits whatever comes until Stop(), then what waits still. Starts the
  // answering thread, and returns once everyone was answered.
  void Run();
  void Stop();

  // True if the last write found the disk full. Any thread.
  bool disk_full() const { return disk_full_.load(std::memory_order_acquire); }

  // False once a write failed. Any thread.
  bool healthy() const { return healthy_.load(std::memory_order_acquire); }

  // The error of the write that failed; empty while healthy. Any thread.
  std::string failure() const {
    MutexLock lock(mutex_);
    return failure_;
  }

  // Counters since the start. Any thread.
  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

 private:
  // For tests that commit step by step, without a thread.
  friend bool CommitPending(Committer& committer);

  struct PendingAppend {
    LaneId lane;
    EncodedChunk chunk;
    AppendDone done;
    SettledCallback on_settled;
    StillWanted still_wanted;
    AppendAlong along;
    Backlog::Reservation reservation;
    PauseWatch::Time queued_at{};
  };
  struct PendingChange {
    SpoolChange change;
    Applied applied = nullptr;  // of the dispatcher's; may be null
    ChangeDone done = nullptr;  // of anyone else's
  };
  struct Pending {
    std::vector<AddedLane> lanes;
    std::vector<PendingAppend> appends;
    std::vector<PendingChange> changes;
    size_t bytes = 0;
    std::optional<Look> look;
    bool empty() const {
      return appends.empty() && changes.empty() && !look.has_value();
    }
  };
  // The end of a lane. Owned by the committing thread.
  struct Tail {
    Seq next = 0;
    uint64_t lane_bytes = 0;
    bool tells_identities = false;  // see Appended
    BlockBuilder block;
  };

  // Waits for what is worth a commit, or until a full disk is to be asked
  // again; none if this is the end.
  std::optional<Pending> Gather(size_t last_appends);
  Notifier::Committed Commit(Pending pending);
  absl::Status Write(const SpoolChange& change);
  // Adds new lanes and the items of `appends` to `change`, and their sequences
  // to `committed`.
  void AddAppends(std::vector<PendingAppend>& appends, SpoolChange& change,
                  Notifier::Committed& committed);
  // Why an append is not to be stored any more; OK: it is.
  absl::Status WhyUnwanted(const PendingAppend& append) const;
  // The same at the ends that the lanes have in a shared spool, and writes what
  // is wanted still.
  // Errors: those of Write(), after which the ends are as before; kAborted if
  // another server gave a new lane's number to another lane.
  absl::Status WriteAtEnds(std::vector<PendingAppend>& appends,
                           SpoolChange& change, Notifier::Committed& committed);
  Notifier::Committed FindAppends(Look look);
  void TakeBack(const std::vector<Appended>& appended);
  std::vector<uint64_t> IdentitiesOf(const PendingAppend& append) const;
  // REQUIRES: the lane is known.
  Tail& TailOf(LaneId lane);
  SeqRange Place(const PendingAppend& append, SpoolChange& change,
                 std::vector<LaneId>& open_blocks);
  void CloseBlock(LaneId lane, SpoolChange& change);

  Spool& spool_;
  const Options options_;
  Notifier notifier_;
  absl::flat_hash_map<LaneId, Tail> tails_;
  std::vector<AddedLane> unstored_lanes_;
  // Changes that found the disk full, and wait for space. Owned by the
  // committing thread.
  std::vector<PendingChange> waiting_;
  SpoolChange waiting_change_;
  bool look_failed_ = false;  // one for all; the next one is for all, too
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
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_COMMITTER_H_
