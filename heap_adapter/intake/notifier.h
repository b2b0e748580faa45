#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_NOTIFIER_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_NOTIFIER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/round_robin_queue.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/intake/backlog.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/spool/records.h"

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
  uint64_t caller = 0;  // see EncodedChunk
  // Hashes of the items' identities, if the lane's type coalesces.
  std::vector<uint64_t> identities = {};
  // Of text of all items that the lane ever had, these included.
  uint64_t lane_bytes = 0;
  // False: another server accepted them. Those before `items` may be of others,
  // too, and unknown so far.
  bool accepted_here = true;
  WallTime accepted_at;
  std::optional<TraceContext> trace = std::nullopt;
  SettledCallback on_settled;  // may be empty
  // Held until the destination's backlog counts the items.
  Backlog::Reservation reservation = {};
};

// The results of one commit, for the dispatcher.
struct CommitNotices {
  std::vector<AddedLane> lanes;  // come before any items in them
  std::vector<Appended> appended;
  // Continuations of changes that the dispatcher asked for, in the order of
  // those changes. It runs them on its own thread.
  std::vector<absl::AnyInvocable<void()>> applied;
};

// The hand-over "Durable": what a commit stored goes to the dispatcher at once
// and to the callers in turns.
//
// The dispatcher gets its notices first, on the committing thread: by the time
// a caller is answered, the dispatcher has its items. Callers are answered on a
// thread of their own, while the next group is synced already: answering many
// takes as long as a sync does. Lanes take turns, so that a caller with one
// call does not wait for the thousands of another.
//
// The dispatcher is woken after some answers, by the answering thread: a thread
// that is woken may take its waker's core, and a step of the dispatcher takes
// longer than many answers. It never waits for all of a large commit.
//
// A settlement never overtakes the answer to the same append: one that comes
// sooner is kept until the caller was answered, then passed on.
class Notifier {
 public:
  // Called from the committing thread; must neither block nor wake anybody.
  using Sink = std::function<void(CommitNotices)>;
  // Called when the receiver of the notices is to look at them; from either
  // thread.
  using Wake = std::function<void()>;
  // Called once, from the answering thread, with the sequences that the chunk's
  // items got. Must not block.
  using AppendDone = absl::AnyInvocable<void(absl::StatusOr<SeqRange>)>;
  // As AppendDone, for a change without items.
  using ChangeDone = absl::AnyInvocable<void(absl::Status)>;

  // A caller that waits for the result of its append.
  struct Append {
    LaneId lane = 0;
    AppendDone done;
    SeqRange items;
    std::shared_ptr<SettlementGate> gate = nullptr;  // null: no settlement
    // Not OK: its items are not stored, even if the commit succeeded.
    absl::Status refused = absl::OkStatus();
  };
  struct Committed {
    absl::Status status;
    // Sent if the commit succeeded. `appended` has one element for each of
    // `appends`, in the same order; those of refused ones are not sent.
    CommitNotices notices;
    std::vector<Append> appends;
    std::vector<ChangeDone> changes;
  };

  // Answers before the dispatcher is woken. More: the callers of a large commit
  // have their answers sooner, and their items go to Heap later.
  static constexpr size_t kAnswersFirst = 64;

  // `wake` may be null.
  Notifier(Sink sink, Wake wake)
      : sink_(std::move(sink)), wake_sink_(std::move(wake)) {}

  // Gives the dispatcher its notices and queues the callers' answers. In the
  // order of the commits; the committing thread.
  void Notify(Committed committed);

  // Answers until Close() was called and everybody was answered. The answering
  // thread.
  void Run();
  void Close();

  // Takes over what was queued and answers up to `max` appends; of each commit
  // changes are answered after the last of its appends. False if there was
  // nothing to do. The answering thread, or a test in its place.
  bool AnswerSome(size_t max);

 private:
  struct Group {
    Committed committed;
    size_t unanswered = 0;  // of its appends
  };
  struct Answer {
    Group* group = nullptr;
    size_t append = 0;
  };

  void AnswerNext();
  void WakeSink() const {
    if (wake_sink_) wake_sink_();
  }

  const Sink sink_;
  const Wake wake_sink_;

  Mutex mutex_;
  CondVar wake_;
  std::vector<Committed> queued_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  // Owned by the answering thread: commits in their order, and the answers of
  // all of them.
  std::deque<Group> groups_;
  RoundRobinQueue<LaneId, Answer> answers_;
  bool sink_sleeps_ = false;         // it has notices and was not woken
  size_t answers_since_notice_ = 0;  // while it sleeps
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_NOTIFIER_H_
