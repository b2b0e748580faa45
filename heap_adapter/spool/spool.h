#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "heap_adapter/spool/attempt_tables.h"
#include "heap_adapter/spool/dead_letter_counter.h"
#include "heap_adapter/spool/deferred_tables.h"
#include "heap_adapter/spool/published_tables.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/spool_change.h"  // IWYU pragma: export
#include "heap_adapter/spool/store.h"

namespace heapsync {

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

// The state of settled items, at one moment.
struct StoredFate {
  bool deferred = false;     // some of them are
  bool dead_letter = false;  // likewise
  // The first that covers some of them.
  std::optional<Forwarding> forwarding;
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

  // Reads of some tables.
  const AttemptTables& attempts() const { return attempts_; }
  const DeferredTables& deferred() const { return deferred_; }
  const PublishedTables& published() const { return published_; }

  absl::Status Commit(const SpoolChange& change);

  // For a shared spool. Commits what `make` returns for the present ends of
  // `lanes` and the present keys of `new_lanes`, both in ascending order;
  // nobody else appends to these lanes, or makes one of them, meanwhile. None:
  // there is no such lane yet. If anything is committed, so is a key of each of
  // `new_lanes` that had none. See Store::Update().
  using EndsVisitor = absl::FunctionRef<const SpoolChange&(
      const std::vector<std::optional<LaneEnd>>& ends,
      const std::vector<std::optional<LaneKey>>& keys)>;
  absl::Status CommitAtEnds(const std::vector<LaneId>& lanes,
                            const std::vector<LaneId>& new_lanes,
                            EndsVisitor make);
  // The ends of all lanes, in ascending order.
  absl::Status VisitEnds(
      absl::FunctionRef<void(LaneId, const LaneEnd&)> visit) const;
  // The key of a lane; none if there is no such lane.
  absl::StatusOr<std::optional<LaneKey>> ReadLaneKey(LaneId lane) const;
  // The keys of all lanes.
  absl::StatusOr<std::vector<std::pair<LaneId, LaneKey>>> LaneKeys() const;
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
  absl::Status MeasureDeadLetters() { return dead_letters_.Measure(); }
  // The changes since the last call, and at the first one after
  // MeasureDeadLetters() all that are stored.
  std::vector<DeadLetterDelta> TakeDeadLetterDeltas() {
    return dead_letters_.Take();
  }

  absl::StatusOr<std::optional<Forwarding>> FindForwarding(LaneId lane,
                                                           Seq seq) const;
  // Visits forwardings in the order of their items, starting with the one that
  // covers `from` or the next one, until `visit` returns false.
  absl::Status VisitForwardings(
      LaneId lane, Seq from,
      absl::FunctionRef<bool(const Forwarding&)> visit) const;

 private:
  Spool(Store& store, uint64_t id) : store_(store), id_(id) {}

  // Sets the fields of `lane` that follow from its blocks.
  absl::Status MeasureBlocks(StoredLane& lane) const;

  Store& store_;
  const uint64_t id_;
  const AttemptTables attempts_{store_};
  const DeferredTables deferred_{store_};
  const PublishedTables published_{store_};
  DeadLetterCounter dead_letters_{store_};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_H_
