#include "heap_adapter/delivery/plan_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {
namespace {

void AddLost(SeqRange range, std::vector<PlanItem>& items) {
  for (Seq seq = range.begin; seq < range.end; ++seq) {
    items.push_back({.item = {.seq = seq}, .text = {}, .lost = true});
  }
}

// Reads items by ascending seq. A block with several of the ranges is read and
// decoded once.
class BlockItems {
 public:
  BlockItems(const Spool& spool, LaneId lane) : spool_(spool), lane_(lane) {}

  absl::Status AddRange(SeqRange range, std::vector<PlanItem>& items) {
    Seq seq = range.begin;
    while (seq < range.end) {
      if (!reader_.has_value() || seq > last_) {
        if (absl::Status s = Load(seq, range.end); !s.ok()) return s;
      }
      const Seq end = std::min(range.end, last_ + 1);
      const std::vector<StoredItem>& stored = reader_->items();
      while (next_ < stored.size() && stored[next_].seq < seq) ++next_;
      for (; next_ < stored.size() && stored[next_].seq < end; ++next_) {
        AddLost({seq, stored[next_].seq}, items);
        PlanItem& added = items.emplace_back();
        added.item = stored[next_];
        added.item.text = {};
        added.text = std::string(stored[next_].text);
        seq = stored[next_].seq + 1;
      }
      AddLost({seq, end}, items);
      seq = end;
    }
    return absl::OkStatus();
  }

 private:
  // The block of item `seq`; where there is none, up to `end`, none of the
  // items is there.
  absl::Status Load(Seq seq, Seq end) {
    auto block = spool_.ReadBlock(lane_, seq);
    if (!block.ok()) return block.status();
    last_ = block->has_value() ? (*block)->last : end - 1;
    value_ = block->has_value() ? std::move((*block)->value) : "";
    reader_.emplace(value_, last_);
    next_ = 0;
    return absl::OkStatus();
  }

  const Spool& spool_;
  const LaneId lane_;
  Seq last_ = 0;
  std::string value_;  // that the reader's items refer to
  std::optional<BlockReader> reader_;
  size_t next_ = 0;  // of the reader's items
};

}  // namespace

absl::StatusOr<std::vector<PlanItem>> ReadPlan(const Spool& spool, LaneId lane,
                                               const BatchPlan& plan) {
  std::vector<PlanItem> items;
  for (const auto& [hash, seq] : plan.deferred) {
    auto item = spool.deferred().FindDeferred(lane, seq);
    if (!item.ok()) return item.status();
    if (!item->has_value()) continue;
    items.push_back({.item = {.seq = seq,
                              .accepted_at = (*item)->accepted_at,
                              .identity_hash = hash,
                              .replays = (*item)->replays},
                     .text = (*item)->text,
                     .deferred = true});
  }
  BlockItems blocks(spool, lane);
  for (const auto& [begin, end] : plan.main.ranges()) {
    const absl::Status read = blocks.AddRange({begin, end}, items);
    if (!read.ok()) return read;
  }
  return items;
}

}  // namespace heapsync
