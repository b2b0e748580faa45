#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Changes to the spool that are applied atomically. Only builds keys and
// values; nothing is stored before Spool::Commit().
class SpoolChange {
 public:
  void PutLane(LaneId lane, const LaneKey& key);
  // `last` is the sequence of the block's last item.
  void PutBlock(LaneId lane, Seq last, std::string block);
  void DeleteBlock(LaneId lane, Seq last);
  void PutProgress(LaneId lane, const LaneProgress& progress);
  void PutDeferred(LaneId lane, const DeferredItem& item);
  void DeleteDeferred(LaneId lane, uint64_t identity_hash, Seq seq);
  void PutIsolated(LaneId lane, const IsolatedItem& item);
  void DeleteIsolated(LaneId lane, Seq seq);
  void PutDeadLetter(LaneId lane, const DeadLetter& letter);
  void DeleteDeadLetter(LaneId lane, Seq seq);
  void PutForwarding(LaneId lane, const Forwarding& forwarding);
  void DeleteForwarding(LaneId lane, SeqRange from);
  void PutAttempt(AttemptId id, const AttemptRecord& record);
  void DeleteAttempt(AttemptId id, const AttemptRecord& record);
  void PutUsage(AttemptId id, const UsageRecord& record);
  void DeleteUsage(AttemptId id);
  void PutPlan(AttemptId id, const PlanRecord& record);
  void DeletePlan(AttemptId id);
  void PutPaused(absl::string_view destination, bool paused);
  void PutEnd(LaneId lane, const LaneEnd& end);
  void PutFigures(absl::string_view destination, const OwnerFigures& figures);

  // A destination as the server that delivers it sees it; see
  // EncodeSnapshot().
  void PutSnapshot(absl::string_view destination, std::string snapshot);
  void PutCommand(CommandId id, const CommandRecord& command);
  void PutAnswer(CommandId id, const CommandAnswer& answer);
  // Deletes a command with its answer.
  void DeleteCommand(CommandId id);

  // The change must be synced to disk before Commit() returns.
  void RequireDisk() { durability_ = Durability::kDisk; }

  void Append(SpoolChange other);
  // Number of changes so far. CutTo(size) removes those added since.
  size_t size() const { return batch_.changes().size(); }
  void CutTo(size_t size) { batch_.CutTo(size); }
  bool empty() const { return batch_.empty(); }
  size_t bytes() const { return batch_.bytes(); }
  Durability durability() const { return durability_; }
  const StoreBatch& batch() const { return batch_; }
  // True if it may add or remove dead letters.
  bool has_dead_letters() const { return has_dead_letters_; }

 private:
  StoreBatch batch_;
  bool has_dead_letters_ = false;
  Durability durability_ = Durability::kProcess;
};

// A block as it was read; BlockReader decodes `value`.
struct StoredBlock {
  Seq last = 0;
  std::string value;
};

// A lane as it is stored.
struct StoredLane {
  LaneId id = 0;
  LaneKey key;
  LaneProgress progress;
  Seq head = 0;  // sequence of the next item
  // Bytes of text of all items before `head`, and of all items before the first
  // block that still exists.
  uint64_t lane_bytes = 0;
  uint64_t settled_bytes = 0;
};

// Dead letters of one lane that came, or went (below zero), and the bytes of
// their records.
struct DeadLetterDelta {
  LaneId lane = 0;
  int64_t letters = 0;
  int64_t bytes = 0;
  CountsByReason<int64_t> by_reason{};
};

// A command as it is stored.
struct StoredCommand {
  CommandId id = 0;
  // None: it was taken back, or is damaged. Its answer came too late.
  std::optional<CommandRecord> command;
  bool answered = false;
};

// The state of settled items, at one moment.
struct StoredFate {
  bool deferred = false;     // some of them are
  bool dead_letter = false;  // likewise
  // The first that covers some of them.
  std::optional<Forwarding> forwarding;
};

// Summary of the deferred items of one identity.
struct DeferredIdentity {
  uint64_t hash = 0;
  uint64_t items = 0;
  Seq first = 0;
  Seq last = 0;
};

// The accepted items and their delivery state, in a Store.
//
// Commits are made by one thread; reads may come from any. Reads return
// kDataLoss with the name of a damaged record, which stays in the store.
//
// Several servers may have the spool in one shared store. Each of them appends
// to the lanes, whose ends are records then; everything else is changed by the
// one that delivers.
class Spool {
 public:
  // Opens the spool in `store`, which must outlive it. A new store gets a
  // random id, `new_id`. Errors: kFailedPrecondition if a newer version wrote
  // the store.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(Store& store,
                                                     uint64_t new_id);

  // Distinguishes this spool's receipts from those of any other.
  uint64_t id() const { return id_; }

  // True if others append to the lanes, too.
  bool shared() const { return store_.shared(); }

  absl::Status Commit(const SpoolChange& change);

  // For a shared spool. Commits what `make` returns for the present ends of
  // `lanes`, which are in ascending order; nobody else appends to them
  // meanwhile. None: the lane is new. See Store::Update().
  using EndsVisitor = absl::FunctionRef<const SpoolChange&(
      const std::vector<std::optional<LaneEnd>>& ends)>;
  absl::Status CommitAtEnds(const std::vector<LaneId>& lanes, EndsVisitor make);
  // The ends of all lanes, in ascending order.
  absl::Status VisitEnds(
      absl::FunctionRef<void(LaneId, const LaneEnd&)> visit) const;
  // The key of a lane; none if there is no such lane.
  absl::StatusOr<std::optional<LaneKey>> ReadLaneKey(LaneId lane) const;
  // The keys of all lanes.
  absl::StatusOr<std::vector<std::pair<LaneId, LaneKey>>> LaneKeys() const;
  // The last figures that the server that delivers has published.
  absl::Status VisitFigures(
      absl::FunctionRef<void(absl::string_view, const OwnerFigures&)> visit)
      const;
  // The last snapshots that were published, of all destinations.
  absl::Status VisitSnapshots(
      absl::FunctionRef<void(absl::string_view, absl::string_view)> visit)
      const;
  // The same of some; none for one that never was.
  absl::StatusOr<std::vector<std::optional<std::string>>> ReadSnapshots(
      absl::Span<const absl::string_view> destinations) const;
  // All commands, as of one moment.
  absl::StatusOr<std::vector<StoredCommand>> Commands() const;
  // The answers to some; none: not yet.
  absl::StatusOr<std::vector<std::optional<CommandAnswer>>> ReadAnswers(
      absl::Span<const CommandId> commands) const;
  // The progress of lanes, in one request.
  absl::StatusOr<std::vector<LaneProgress>> ReadProgress(
      absl::Span<const LaneId> lanes) const;
  // The fates of some ranges of settled items, in one request.
  struct LaneItems {
    LaneId lane = 0;
    SeqRange items;
  };
  absl::StatusOr<std::vector<StoredFate>> ReadFates(
      absl::Span<const LaneItems> items) const;
  // See Store::Resume(). Called by the thread of Commit().
  absl::Status Resume() { return store_.Resume(); }

  absl::StatusOr<std::vector<StoredLane>> Lanes() const;

  // Delivery progress of a lane, and the sequence of its next item, `head`.
  // Every item stored before the call is below `head`.
  struct LaneExtent {
    LaneProgress progress;
    Seq head = 0;
  };
  absl::StatusOr<LaneExtent> ReadExtent(LaneId lane) const;

  // True if the destination is paused.
  absl::StatusOr<bool> IsPaused(absl::string_view destination) const;

  // The block that contains item `from`, or the first one after it.
  absl::StatusOr<std::optional<StoredBlock>> ReadBlock(LaneId lane,
                                                       Seq from) const;

  // Deferred items of one identity with sequence >= `from`, in order, at most
  // `limit`. An item whose record is damaged has no text.
  absl::StatusOr<std::vector<DeferredItem>> ReadDeferred(LaneId lane,
                                                         uint64_t identity_hash,
                                                         Seq from,
                                                         size_t limit) const;
  // Item `seq` if it is deferred; without text if its record is damaged.
  absl::StatusOr<std::optional<DeferredItem>> FindDeferred(LaneId lane,
                                                           Seq seq) const;
  // All identities that have deferred items.
  absl::StatusOr<std::vector<DeferredIdentity>> DeferredIdentities(
      LaneId lane) const;

  // Item `seq` if it is isolated.
  absl::StatusOr<std::optional<IsolatedItem>> FindIsolated(LaneId lane,
                                                           Seq seq) const;
  // The isolated items of a lane, in order. One whose record is damaged is left
  // out: it is a deferred item like others then.
  absl::StatusOr<std::vector<IsolatedItem>> IsolatedItems(LaneId lane) const;

  absl::StatusOr<std::optional<DeadLetter>> FindDeadLetter(LaneId lane,
                                                           Seq seq) const;
  // The same of several, in one request.
  struct LaneItem {
    LaneId lane = 0;
    Seq seq = 0;
  };
  absl::StatusOr<std::vector<std::optional<DeadLetter>>> FindDeadLetters(
      absl::Span<const LaneItem> items) const;
  // Visits dead letters with sequence >= `from`, in order, until `visit`
  // returns false.
  absl::Status VisitDeadLetters(
      LaneId lane, Seq from,
      absl::FunctionRef<bool(const DeadLetter&)> visit) const;

  // Counts the stored dead letters again. Once, before a shared spool is
  // delivered from; Open() does it otherwise. Errors: those of reading.
  absl::Status MeasureDeadLetters();
  // The changes since the last call, and at the first one after
  // MeasureDeadLetters() all that are stored.
  std::vector<DeadLetterDelta> TakeDeadLetterDeltas();

  absl::StatusOr<std::optional<Forwarding>> FindForwarding(LaneId lane,
                                                           Seq seq) const;
  // Visits forwardings in the order of their items, starting with the one that
  // covers `from` or the next one, until `visit` returns false.
  absl::Status VisitForwardings(
      LaneId lane, Seq from,
      absl::FunctionRef<bool(const Forwarding&)> visit) const;

  // Attempts that carried item `seq`, or any of `first` to `last`, oldest
  // first.
  using Attempts = std::vector<std::pair<AttemptId, AttemptRecord>>;
  absl::StatusOr<Attempts> FindAttempts(LaneId lane, Seq seq) const {
    return FindAttempts(lane, seq, seq);
  }
  absl::StatusOr<Attempts> FindAttempts(LaneId lane, Seq first, Seq last) const;
  // Visits attempts with id >= `from`, oldest first, until `visit` returns
  // false.
  absl::Status VisitAttempts(
      AttemptId from,
      absl::FunctionRef<bool(AttemptId, const AttemptRecord&)> visit) const;
  absl::StatusOr<std::optional<AttemptRecord>> FindAttempt(AttemptId id) const;
  // The greatest attempt id in use; zero if there is none.
  absl::StatusOr<AttemptId> LastAttempt() const;

  // Visits all plans, oldest first.
  absl::Status VisitPlans(
      absl::FunctionRef<void(AttemptId, const PlanRecord&)> visit) const;

  // Visits all usage records, oldest first.
  absl::Status VisitUsage(
      absl::FunctionRef<void(AttemptId, const UsageRecord&)> visit) const;

 private:
  using DeadLetterDeltas = absl::flat_hash_map<LaneId, DeadLetterDelta>;

  Spool(Store& store, uint64_t id) : store_(store), id_(id) {}

  DeadLetterDeltas DeadLettersIn(const StoreBatch& batch) const;
  void AddDeadLetters(const DeadLetterDeltas& deltas);

  // Sets the fields of `lane` that follow from its blocks.
  absl::Status MeasureBlocks(StoredLane& lane) const;

  Store& store_;
  const uint64_t id_;
  Mutex mutex_;
  DeadLetterDeltas dead_letters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_H_
