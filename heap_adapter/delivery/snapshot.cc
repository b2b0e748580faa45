#include "heap_adapter/delivery/snapshot.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "base/check.h"

namespace heapsync {

void TypeNumbers::Add(const LaneSnapshot& lane,
                      std::optional<WallTime> oldest) {
  queued_items += lane.queued_items;
  queued_bytes += lane.queued_bytes;
  deferred_items += lane.deferred_items;
  isolated_items += lane.isolated_items;
  delivered_per_second += lane.delivered_per_second;
  counts.appended += lane.counts.appended;
  counts.appended_elsewhere += lane.counts.appended_elsewhere;
  counts.delivered += lane.counts.delivered;
  counts.dead_lettered += lane.counts.dead_lettered;
  for (size_t i = 0; i < counts.dead_lettered_for.size(); ++i) {
    counts.dead_lettered_for[i] += lane.counts.dead_lettered_for[i];
  }
  counts.coalesced += lane.counts.coalesced;
  counts.deferred += lane.counts.deferred;
  counts.isolated += lane.counts.isolated;
  if (oldest.has_value()) {
    oldest_waiting = std::min(oldest_waiting.value_or(*oldest), *oldest);
  }
}

absl::string_view Name(DestinationState state) {
  switch (state) {
    case DestinationState::kActive:
      return "active";
    case DestinationState::kBackingOff:
      return "backing_off";
    case DestinationState::kNeedsAttention:
      return "needs_attention";
    case DestinationState::kPaused:
      return "paused";
  }
  HEAPSYNC_UNREACHABLE();
}

absl::StatusOr<std::optional<WallTime>> OldestWaiting(
    const Spool& spool, const LaneSnapshot& lane) {
  std::optional<WallTime> oldest;
  if (!lane.unsettled.empty()) {
    auto block = spool.ReadBlock(lane.id, lane.unsettled.begin);
    if (!block.ok()) return block.status();
    if (block->has_value()) {
      const BlockReader reader((*block)->value, (*block)->last);
      for (const StoredItem& item : reader.items()) {
        if (item.seq < lane.unsettled.begin) continue;
        oldest = item.accepted_at;
        break;
      }
    }
  }
  for (const uint64_t hash : lane.some_deferred_identities) {
    auto items = spool.deferred().ReadDeferred(lane.id, hash, 0, 1);
    if (!items.ok()) return items.status();
    for (const DeferredItem& item : *items) {
      oldest = std::min(oldest.value_or(item.accepted_at), item.accepted_at);
    }
  }
  return oldest;
}

}  // namespace heapsync
