#include "heap_adapter/spool/spool_change.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/attempt_tables.h"
#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/layout.h"

namespace heapsync {
namespace {

using layout::AttemptKey;
using layout::CommandKey;
using layout::CommandPart;
using layout::Key;
using layout::Table;

template <typename Visit>
void ForEachHistoryRange(const SeqSet& seqs, Visit visit) {
  for (const auto& [begin, end] : seqs.ranges()) {
    Seq from = begin;
    for (; end - from > kMaxHistoryRange; from += kMaxHistoryRange) {
      visit(SeqRange{from, from + kMaxHistoryRange});
    }
    visit(SeqRange{from, end});
  }
}

}  // namespace

void SpoolChange::PutLane(LaneId lane, const LaneKey& key) {
  batch_.Put(Key(Table::kLane, lane), key.Encode());
}

void SpoolChange::PutBlock(LaneId lane, Seq last, std::string block) {
  batch_.Put(Key(Table::kBlock, lane, last), std::move(block));
}

void SpoolChange::DeleteBlock(LaneId lane, Seq last) {
  batch_.Delete(Key(Table::kBlock, lane, last));
}

void SpoolChange::PutProgress(LaneId lane, const LaneProgress& progress) {
  batch_.Put(Key(Table::kProgress, lane), progress.Encode());
}

void SpoolChange::PutDeferred(LaneId lane, const DeferredItem& item) {
  batch_.Put(Key(Table::kDeferred, lane, item.identity_hash, item.seq),
             item.Encode());
  std::string hash;
  AppendBigEndian64(hash, item.identity_hash);
  batch_.Put(Key(Table::kDeferredIndex, lane, item.seq), std::move(hash));
}

void SpoolChange::DeleteDeferred(LaneId lane, uint64_t identity_hash, Seq seq) {
  batch_.Delete(Key(Table::kDeferred, lane, identity_hash, seq));
  batch_.Delete(Key(Table::kDeferredIndex, lane, seq));
}

void SpoolChange::PutIsolated(LaneId lane, const IsolatedItem& item) {
  batch_.Put(Key(Table::kIsolated, lane, item.seq), item.Encode());
}

void SpoolChange::DeleteIsolated(LaneId lane, Seq seq) {
  batch_.Delete(Key(Table::kIsolated, lane, seq));
}

void SpoolChange::PutDeadLetter(LaneId lane, const DeadLetter& letter) {
  batch_.Put(Key(Table::kDeadLetter, lane, letter.seq), letter.Encode());
  has_dead_letters_ = true;
}

void SpoolChange::DeleteDeadLetter(LaneId lane, Seq seq) {
  batch_.Delete(Key(Table::kDeadLetter, lane, seq));
  has_dead_letters_ = true;
}

void SpoolChange::PutForwarding(LaneId lane, const Forwarding& forwarding) {
  batch_.Put(Key(Table::kForwarding, lane, forwarding.from.end - 1),
             forwarding.Encode());
}

void SpoolChange::DeleteForwarding(LaneId lane, SeqRange from) {
  batch_.Delete(Key(Table::kForwarding, lane, from.end - 1));
}

void SpoolChange::PutAttempt(AttemptId id, const AttemptRecord& record) {
  batch_.Put(AttemptKey(Table::kAttempt, id), record.Encode());
  ForEachHistoryRange(record.seqs, [&](SeqRange range) {
    std::string first;
    AppendBigEndian64(first, range.begin);
    batch_.Put(Key(Table::kHistory, record.lane, range.end - 1, id),
               std::move(first));
  });
}

void SpoolChange::DeleteAttempt(AttemptId id, const AttemptRecord& record) {
  batch_.Delete(AttemptKey(Table::kAttempt, id));
  ForEachHistoryRange(record.seqs, [&](SeqRange range) {
    batch_.Delete(Key(Table::kHistory, record.lane, range.end - 1, id));
  });
}

void SpoolChange::PutUsage(AttemptId id, const UsageRecord& record) {
  batch_.Put(AttemptKey(Table::kUsage, id), record.Encode());
}

void SpoolChange::DeleteUsage(AttemptId id) {
  batch_.Delete(AttemptKey(Table::kUsage, id));
}

void SpoolChange::PutPlan(AttemptId id, const PlanRecord& record) {
  batch_.Put(AttemptKey(Table::kPlan, id), record.Encode());
}

void SpoolChange::DeletePlan(AttemptId id) {
  batch_.Delete(AttemptKey(Table::kPlan, id));
}

void SpoolChange::PutPaused(absl::string_view destination, bool paused) {
  std::string key = absl::StrCat(Key(Table::kPaused), destination);
  if (paused) {
    batch_.Put(std::move(key), "");
  } else {
    batch_.Delete(std::move(key));
  }
}

void SpoolChange::PutEnd(LaneId lane, const LaneEnd& end) {
  batch_.Put(Key(Table::kEnd, lane), end.Encode());
}

void SpoolChange::PutFigures(absl::string_view destination,
                             const OwnerFigures& figures) {
  batch_.Put(absl::StrCat(Key(Table::kFigures), destination), figures.Encode());
}

void SpoolChange::PutSnapshot(absl::string_view destination,
                              std::string snapshot) {
  batch_.Put(absl::StrCat(Key(Table::kSnapshot), destination),
             std::move(snapshot));
}

void SpoolChange::PutCommand(CommandId id, const CommandRecord& command) {
  batch_.Put(CommandKey(id, CommandPart::kCommand), command.Encode());
}

void SpoolChange::PutAnswer(CommandId id, const CommandAnswer& answer) {
  batch_.Put(CommandKey(id, CommandPart::kAnswer), answer.Encode());
}

void SpoolChange::DeleteCommand(CommandId id) {
  batch_.Delete(CommandKey(id, CommandPart::kCommand));
  batch_.Delete(CommandKey(id, CommandPart::kAnswer));
}

void SpoolChange::Append(SpoolChange other) {
  has_dead_letters_ |= other.has_dead_letters_;
  batch_.Append(std::move(other.batch_));
  if (other.durability_ == Durability::kDisk) RequireDisk();
}

}  // namespace heapsync
