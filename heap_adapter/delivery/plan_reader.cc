#include "heap_adapter/delivery/plan_reader.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {
namespace {

void AddLost(SeqRange range, std::vector<PlanItem>& items) {
  for (Seq seq = range.begin; seq < range.end; ++seq) {
    items.push_back({.item = {.seq = seq}, .text = {}, .lost = true});
  }
}

absl::Status ReadRange(const Spool& spool, LaneId lane, SeqRange range,
                       std::vector<PlanItem>& items) {
  Seq seq = range.begin;
  while (seq < range.end) {
    auto block = spool.ReadBlock(lane, seq);
    if (!block.ok()) return block.status();
    const Seq last = block->has_value() ? (*block)->last : range.end - 1;
    const BlockReader reader(
        block->has_value() ? absl::string_view((*block)->value) : "", last);
    const Seq end = std::min(range.end, last + 1);
    for (const StoredItem& item : reader.items()) {
      if (item.seq < seq) continue;
      if (item.seq >= end) break;
      AddLost({seq, item.seq}, items);
      PlanItem& added = items.emplace_back();
      added.item = item;
      added.item.text = {};
      added.text = std::string(item.text);
      seq = item.seq + 1;
    }
    AddLost({seq, end}, items);
    seq = end;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<PlanItem>> ReadPlan(const Spool& spool, LaneId lane,
                                               const BatchPlan& plan) {
  std::vector<PlanItem> items;
  for (const auto& [hash, seq] : plan.deferred) {
    auto item = spool.FindDeferred(lane, seq);
    if (!item.ok()) return item.status();
    if (!item->has_value()) continue;
    items.push_back({.item = {.seq = seq,
                              .accepted_at = (*item)->accepted_at,
                              .identity_hash = hash,
                              .replays = (*item)->replays},
                     .text = (*item)->text,
                     .deferred = true});
  }
  for (const auto& [begin, end] : plan.main.ranges()) {
    const absl::Status read = ReadRange(spool, lane, {begin, end}, items);
    if (!read.ok()) return read;
  }
  return items;
}

}  // namespace heapsync
