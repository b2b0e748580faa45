#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_CHANGE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_CHANGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
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

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SPOOL_CHANGE_H_
