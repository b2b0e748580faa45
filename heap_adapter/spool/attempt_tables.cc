#include "heap_adapter/spool/attempt_tables.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "heap_adapter/spool/coding.h"
#include "heap_adapter/spool/layout.h"

namespace heapsync {
namespace {

using layout::AttemptKey;
using layout::AttemptOf;
using layout::kEndOfSeqs;
using layout::Key;
using layout::PrefixEnd;
using layout::Table;
using layout::Tail;

}  // namespace

absl::StatusOr<AttemptTables::Attempts> AttemptTables::FindAttempts(
    LaneId lane, Seq first, Seq last) const {
  std::vector<AttemptId> ids;
  const Seq end = last > kEndOfSeqs - kMaxHistoryRange
                      ? kEndOfSeqs
                      : last + kMaxHistoryRange;
  const auto cursor = store_.Scan(Key(Table::kHistory, lane, first),
                                  Key(Table::kHistory, lane, end));
  for (; cursor->Valid(); cursor->Next()) {
    Tail tail(cursor->key());
    tail.Next();
    const AttemptId id = tail.Next();
    if (Reader(cursor->value()).BigEndian64() <= last) ids.push_back(id);
  }
  if (!cursor->status().ok()) return cursor->status();
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  Attempts attempts;
  for (const AttemptId id : ids) {
    absl::StatusOr<std::optional<AttemptRecord>> record = FindAttempt(id);
    if (!record.ok()) return record.status();
    if (record->has_value()) attempts.emplace_back(id, **std::move(record));
  }
  return attempts;
}

absl::Status AttemptTables::VisitAttempts(
    AttemptId from,
    absl::FunctionRef<bool(AttemptId, const AttemptRecord&)> visit) const {
  const auto cursor = store_.Scan(AttemptKey(Table::kAttempt, from),
                                  PrefixEnd(Key(Table::kAttempt)));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<AttemptRecord> record =
        AttemptRecord::Decode(cursor->value());
    if (!record.ok()) return record.status();
    if (!visit(AttemptOf(cursor->key()), *record)) {
      return absl::OkStatus();
    }
  }
  return cursor->status();
}

absl::StatusOr<std::optional<AttemptRecord>> AttemptTables::FindAttempt(
    AttemptId id) const {
  auto value = store_.Get(AttemptKey(Table::kAttempt, id));
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::nullopt;
  absl::StatusOr<AttemptRecord> record = AttemptRecord::Decode(**value);
  if (!record.ok()) return record.status();
  return *std::move(record);
}

absl::StatusOr<AttemptId> AttemptTables::LastAttempt() const {
  AttemptId greatest = 0;
  for (const Table table : {Table::kAttempt, Table::kUsage, Table::kPlan}) {
    auto last = store_.Last(Key(table), PrefixEnd(Key(table)));
    if (!last.ok()) return last.status();
    if (!last->has_value()) continue;
    greatest = std::max(greatest, AttemptOf((*last)->first));
  }
  return greatest;
}

absl::Status AttemptTables::VisitPlans(
    absl::FunctionRef<void(AttemptId, const PlanRecord&)> visit) const {
  const std::string prefix = Key(Table::kPlan);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<PlanRecord> record = PlanRecord::Decode(cursor->value());
    if (!record.ok()) return record.status();
    visit(AttemptOf(cursor->key()), *record);
  }
  return cursor->status();
}

absl::Status AttemptTables::VisitUsage(
    absl::FunctionRef<void(AttemptId, const UsageRecord&)> visit) const {
  const std::string prefix = Key(Table::kUsage);
  const auto cursor = store_.Scan(prefix, PrefixEnd(prefix));
  for (; cursor->Valid(); cursor->Next()) {
    absl::StatusOr<UsageRecord> record = UsageRecord::Decode(cursor->value());
    if (!record.ok()) return record.status();
    visit(AttemptOf(cursor->key()), *record);
  }
  return cursor->status();
}

}  // namespace heapsync
