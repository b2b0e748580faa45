#include "heap_adapter/delivery/snapshot.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "heap_adapter/base/check.h"
#include "heap_adapter/delivery/dispatcher.h"

namespace heapsync {
namespace {

constexpr size_t kMaxDeferredLookedAt = 16;

Duration Seconds(double seconds) {
  return Duration(static_cast<int64_t>(1e6 * seconds));
}

// What waits of one type.
struct Waiting {
  uint64_t items = 0;
  uint64_t deferred_items = 0;
  double delivered_per_second = 0;
};

// How long it takes; none if nothing tells. An allowance of zero is none.
std::optional<Duration> TimeFor(const Waiting& waiting, uint64_t allowance_used,
                                uint64_t allowance_total, Duration window) {
  if (waiting.items == 0) return Duration::zero();
  const auto queued = static_cast<double>(waiting.items);
  // What is deferred goes at its identities' pace: of that, only the past
  // tells.
  const bool all_deferred = waiting.deferred_items == waiting.items;
  if (allowance_total > 0 && !all_deferred) {
    // What the window still allows goes at once, the rest at the limit's pace.
    const uint64_t free =
        allowance_total - std::min(allowance_total, allowance_used);
    const double later = std::max(0.0, queued - static_cast<double>(free));
    return std::chrono::duration_cast<Duration>(
        window * (later / static_cast<double>(allowance_total)));
  }
  if (waiting.delivered_per_second <= 0) return std::nullopt;
  return Seconds(queued / waiting.delivered_per_second);
}

}  // namespace

void TypeNumbers::Add(const LaneSnapshot& lane,
                      std::optional<WallTime> oldest) {
  queued_items += lane.queued_items;
  queued_bytes += lane.queued_bytes;
  deferred_items += lane.deferred_items;
  delivered_per_second += lane.delivered_per_second;
  counts.appended += lane.counts.appended;
  counts.delivered += lane.counts.delivered;
  counts.dead_lettered += lane.counts.dead_lettered;
  for (size_t i = 0; i < counts.dead_lettered_for.size(); ++i) {
    counts.dead_lettered_for[i] += lane.counts.dead_lettered_for[i];
  }
  counts.merged += lane.counts.merged;
  counts.deferred += lane.counts.deferred;
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
    auto items = spool.ReadDeferred(lane.id, hash, 0, 1);
    if (!items.ok()) return items.status();
    for (const DeferredItem& item : *items) {
      oldest = std::min(oldest.value_or(item.accepted_at), item.accepted_at);
    }
  }
  return oldest;
}

DestinationState Dispatcher::ConditionOf(const Target& target) const {
  if (target.paused) return DestinationState::kPaused;
  if (target.misconfigured_failures > 0)
    return DestinationState::kNeedsAttention;
  const bool failing = std::any_of(
      target.lanes.begin(), target.lanes.end(),
      [this](LaneId id) { return lanes_.find(id)->second->failures > 0; });
  return failing ? DestinationState::kBackingOff : DestinationState::kActive;
}

bool Dispatcher::HeldByLimit(const std::vector<LaneId>& lanes) const {
  return std::any_of(lanes.begin(), lanes.end(), [this](LaneId id) {
    const LaneState& state = *lanes_.find(id)->second;
    return state.limit_holds && state.lane.queued_items() > 0;
  });
}

std::optional<Duration> Dispatcher::DrainedIn(const Target& target,
                                              Now now) const {
  if (ConditionOf(target) != DestinationState::kActive) return std::nullopt;
  Duration longest = Duration::zero();
  for (const Target::OfType& of_type : target.types) {
    Waiting waiting;
    for (const LaneId id : of_type.lanes) {
      const LaneState& state = *lanes_.find(id)->second;
      if (state.lane.queued_items() == 0) continue;
      waiting.items += state.lane.queued_items();
      waiting.deferred_items += state.lane.deferred_items();
      waiting.delivered_per_second += state.delivered.PerSecond(now.monotonic);
    }
    uint64_t limit = 0;
    uint64_t used = 0;
    Duration window{};
    if (of_type.ledger.has_value() &&
        of_type.ledger->total_limit() != UsageLedger::kUnlimited) {
      window = of_type.ledger->rules().window;
      limit = of_type.ledger->total_limit();
      // What is free and yet not given out comes bit by bit, as the rest does.
      used =
          HeldByLimit(of_type.lanes) ? limit : of_type.ledger->total_in_use();
    }
    const std::optional<Duration> drained =
        TimeFor(waiting, used, limit, window);
    if (!drained.has_value()) return std::nullopt;
    longest = std::max(longest, *drained);
  }
  return longest;
}

DestinationSnapshot Dispatcher::SnapshotOf(const Target& target,
                                           Now now) const {
  DestinationSnapshot snapshot{
      .name = target.destination->name,
      .region = target.destination->region,
      .masked_app_id = target.destination->app_id.Masked(),
      .state = ConditionOf(target),
      .last_error = target.last_error,
      .last_error_at = target.last_error_at,
      .lanes = {},
      .in_flight_requests = target.in_flight,
      .concurrency_limit = target.concurrency.limit(),
      .allowance_used = 0,
      .allowance_total = 0,
      .limit_holds_events = HeldByLimit(target.lanes),
      .drained_in = DrainedIn(target, now)};
  for (const ObjectType type : kObjectTypes) {
    const auto& ledger = target.types[IndexOf(type)].ledger;
    if (PolicyOf(type).limit.unit != LimitedUnit::kItems) continue;
    snapshot.allowance_used += ledger->total_in_use();
    if (ledger->total_limit() != UsageLedger::kUnlimited) {
      snapshot.allowance_total += ledger->total_limit();
    }
  }
  for (const LaneId id : target.lanes) {
    const LaneState& state = *lanes_.find(id)->second;
    const Lane& lane = state.lane;
    snapshot.lanes.push_back(LaneSnapshot{
        .id = id,
        .type = lane.key().type,
        .caller = lane.key().caller,
        .queued_items = lane.queued_items(),
        .queued_bytes = lane.queued_bytes(),
        .deferred_items = lane.deferred_items(),
        .delivered_per_second = state.delivered.PerSecond(now.monotonic),
        .counts = lane.counts(),
        .unsettled = {lane.first_unsettled(), lane.head()},
        .some_deferred_identities =
            lane.SomeDeferredIdentities(kMaxDeferredLookedAt)});
  }
  return snapshot;
}

std::vector<DestinationSnapshot> Dispatcher::Snapshot(Now now) const {
  std::vector<DestinationSnapshot> snapshots;
  snapshots.reserve(targets_.size());
  for (const auto& target : targets_) {
    snapshots.push_back(SnapshotOf(*target, now));
  }
  return snapshots;
}

std::optional<DestinationSnapshot> Dispatcher::SnapshotOf(
    absl::string_view destination, Now now) const {
  const auto it = target_by_name_.find(destination);
  if (it == target_by_name_.end()) return std::nullopt;
  return SnapshotOf(*targets_[it->second], now);
}

std::vector<InFlightAttempt> Dispatcher::InFlightAttempts(LaneId lane) const {
  std::vector<InFlightAttempt> attempts;
  for (const auto& [id, attempt] : in_flight_) {
    if (attempt.lane != lane) continue;
    attempts.push_back(
        {.id = id,
         .batch_id = attempt.batch.id,
         .started_at = attempt.started.wall,
         .items = static_cast<uint32_t>(attempt.batch.items.size()),
         .seqs = attempt.batch.Seqs()});
  }
  std::sort(attempts.begin(), attempts.end(),
            [](const InFlightAttempt& a, const InFlightAttempt& b) {
              return a.id < b.id;
            });
  return attempts;
}

}  // namespace heapsync
