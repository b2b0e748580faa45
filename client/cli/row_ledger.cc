#include "client/cli/row_ledger.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace heapsync {

RowLedger::RowLedger(uint64_t rows_done, uint64_t next_index,
                     uint64_t rows_hash)
    : rows_done_(rows_done), next_index_(next_index), rows_hash_(rows_hash) {}

uint64_t RowLedger::HashRow(uint64_t hash, absl::string_view raw) {
  return XXH3_64bits_withSeed(raw.data(), raw.size(), hash);
}

void RowLedger::AddItem(uint64_t line, absl::string_view raw) {
  Add({.index = next_index_++,
       .is_item = true,
       .rejected = false,
       .line = line,
       .violations = {},
       .raw = std::string(raw)});
}

void RowLedger::AddRejected(uint64_t line, absl::string_view raw,
                            std::vector<Violation> violations) {
  Add({.index = next_index_,
       .is_item = false,
       .rejected = true,
       .line = line,
       .violations = std::move(violations),
       .raw = std::string(raw)});
}

void RowLedger::Add(Pending pending) {
  held_bytes_ += sizeof(Pending) + pending.raw.size();
  pending_.push_back(std::move(pending));
}

size_t RowLedger::Find(uint64_t index) const {
  auto row = std::lower_bound(
      pending_.begin(), pending_.end(), index,
      [](const Pending& pending, uint64_t i) { return pending.index < i; });
  // Rows that are no items share their index with the item behind them.
  while (row != pending_.end() && row->index == index && !row->is_item) ++row;
  if (row == pending_.end() || row->index != index) return pending_.size();
  return static_cast<size_t>(row - pending_.begin());
}

void RowLedger::RejectItem(uint64_t index, std::vector<Violation> violations) {
  const size_t row = Find(index);
  if (row == pending_.size()) return;
  pending_[row].rejected = true;
  pending_[row].violations = std::move(violations);
}

uint64_t RowLedger::RowOf(uint64_t index) const {
  const size_t row = Find(index);
  return row == pending_.size() ? 0 : rows_done_ + row + 1;
}

std::vector<RejectedRow> RowLedger::Settle(uint64_t durable_position) {
  std::vector<RejectedRow> rejected;
  while (!pending_.empty()) {
    Pending& front = pending_.front();
    if (front.is_item && front.index >= durable_position) break;
    ++rows_done_;
    rows_hash_ = HashRow(rows_hash_, front.raw);
    held_bytes_ -= sizeof(Pending) + front.raw.size();
    if (front.rejected) {
      rejected.push_back({.row = rows_done_,
                          .line = front.line,
                          .violations = std::move(front.violations),
                          .raw = std::move(front.raw)});
    }
    pending_.pop_front();
  }
  return rejected;
}

}  // namespace heapsync
