#include "heap_adapter/engine/snapshot.h"

#include <algorithm>
#include <cstdlib>

#include "heap_adapter/engine/dispatcher.h"

namespace heapsync {

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
  std::abort();
}

std::vector<DestinationSnapshot> Dispatcher::Snapshot(Now now) const {
  std::vector<DestinationSnapshot> snapshots;
  snapshots.reserve(targets_.size());
  for (const auto& target : targets_) {
    DestinationSnapshot snapshot{
        .name = target->destination.name,
        .region = target->destination.region,
        .masked_app_id = target->destination.app_id.Masked(),
        .state = DestinationState::kActive,
        .last_error = target->last_error,
        .last_error_at = target->last_error_at,
        .lanes = {},
        .requests_under_way = target->under_way,
        .concurrency_limit = target->concurrency.limit(),
        .allowance_used = target->events.total_in_use(),
        .allowance_total = 0,
        .drained_in = std::nullopt};
    if (target->events.total_limit() != UsageLedger::kUnlimited) {
      snapshot.allowance_total = target->events.total_limit();
    }
    bool failing = false;
    uint64_t queued_events = 0;
    for (const LaneId id : target->lanes) {
      const LaneState& state = *lanes_.find(id)->second;
      failing = failing || state.failures > 0;
      const auto oldest = state.lane.OldestWaiting();
      snapshot.lanes.push_back(
          {.type = state.lane.key().type,
           .queued_items = state.lane.queued_items(),
           .queued_bytes = state.lane.queued_bytes(),
           .aside_items = state.lane.aside_items(),
           .oldest_accepted_at = oldest.ok() ? *oldest : std::nullopt,
           .counts = state.lane.counts()});
      if (state.lane.key().type == ObjectType::kTrackEvent) {
        queued_events = state.lane.queued_items();
      }
    }
    if (target->paused) {
      snapshot.state = DestinationState::kPaused;
    } else if (target->setup_failures > 0) {
      snapshot.state = DestinationState::kNeedsAttention;
    } else if (failing) {
      snapshot.state = DestinationState::kBackingOff;
    } else if (snapshot.allowance_total > 0) {
      // What the window still allows goes at once, the rest at the limit's
      // pace.
      const uint64_t free =
          snapshot.allowance_total -
          std::min(snapshot.allowance_total, snapshot.allowance_used);
      const uint64_t later = queued_events - std::min(queued_events, free);
      snapshot.drained_in = Duration(
          static_cast<int64_t>(60e6 * static_cast<double>(later) /
                               static_cast<double>(snapshot.allowance_total)));
    } else {
      snapshot.drained_in = Duration::zero();
    }
    snapshots.push_back(std::move(snapshot));
  }
  static_cast<void>(now);
  return snapshots;
}

}  // namespace heapsync
