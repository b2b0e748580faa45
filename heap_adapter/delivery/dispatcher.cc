#include "heap_adapter/delivery/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr Duration kMaxSleep = std::chrono::seconds(60);
constexpr Duration kForecastInterval = std::chrono::milliseconds(250);
// A user ledger holds an entry for each user of each request in its window; its
// memory stays bounded by letting a lane wait beyond this.
constexpr size_t kMaxLedgerEntries = 1 << 20;

// Attempts that are remembered, for receipts. Each costs some 200 bytes.
constexpr uint64_t kMaxAttemptsKept = 200'000;
// Appends whose trace is remembered; see RecentTraces.
constexpr size_t kMaxTraces = 1 << 16;

constexpr int kMaxInFlightPerDestination = 8;

uint32_t Share(uint32_t limit, double share) {
  if (limit == 0) return 0;
  return std::max<uint32_t>(
      1, static_cast<uint32_t>(static_cast<double>(limit) * share));
}

}  // namespace

Dispatcher::Target::Target(const Destination& destination_in)
    : destination(&destination_in), concurrency(kMaxInFlightPerDestination) {
  const auto ours = [&](uint32_t HeapLimits::*limit) -> uint32_t {
    if (limit == nullptr) return 0;
    return Share(destination_in.limits.*limit, destination_in.limit_share);
  };
  for (const ObjectType type : kObjectTypes) {
    const TypeLimit& limit = PolicyOf(type).limit;
    if (limit.unit == LimitedUnit::kNothing) continue;
    Of(type).ledger.emplace(
        UsageLedger::Rules{.window = limit.window,
                           .total = ours(limit.total),
                           .per_identity = ours(limit.per_identity)});
  }
}

UsageLedger* Dispatcher::Target::LedgerOf(ObjectType type) {
  std::optional<UsageLedger>& ledger = Of(type).ledger;
  return ledger.has_value() ? &*ledger : nullptr;
}

Dispatcher::Dispatcher(Spool& spool, Committer& committer, Transport& transport,
                       const DeliveryRules& rules,
                       const std::vector<Destination>& destinations,
                       std::function<double()> random01, EventSink events)
    : spool_(spool),
      committer_(committer),
      transport_(transport),
      rules_(rules),
      random01_(std::move(random01)),
      events_(std::move(events)),
      history_(spool, kMaxAttemptsKept),
      region_slots_(rules.max_in_flight_per_region),
      traces_(kMaxTraces) {
  for (const Destination& destination : destinations) {
    target_by_name_.emplace(destination.name, targets_.size());
    targets_.push_back(std::make_unique<Target>(destination));
  }
}

void Dispatcher::Enqueue(LaneId lane) {
  LaneState& state = StateOf(lane);
  if (state.queued) return;
  state.queued = true;
  ready_.push_back(lane);
}

void Dispatcher::EnqueueLanesOf(Target& target) {
  for (const LaneId lane : target.lanes) Enqueue(lane);
}

void Dispatcher::WakeAt(LaneId lane, MonotonicTime time) {
  LaneState& state = StateOf(lane);
  if (state.wake_at.has_value()) {
    if (*state.wake_at <= time) return;
    wakes_.erase({*state.wake_at, lane});
  }
  state.wake_at = time;
  wakes_.emplace(time, lane);
}

void Dispatcher::OnNotices(Committer::Notices notices, Now now) {
  for (AddedLane& added : notices.lanes) {
    const auto target = target_by_name_.find(added.key.destination);
    if (target == target_by_name_.end()) continue;
    AddLane({.id = added.id, .key = std::move(added.key), .progress = {}}, {},
            target->second);
  }
  for (Appended& appended : notices.appended) {
    const LaneId lane = appended.lane;
    if (appended.trace.has_value()) {
      traces_.Remember(lane, appended.items, *appended.trace);
    }
    LaneState& state = StateOf(lane);
    state.lane.OnAppended(std::move(appended), now.monotonic);
    UpdateBacklog(TargetOf(state), now);
    Enqueue(lane);
  }
  for (auto& done : notices.applied) done();
}

void Dispatcher::OnStored(LaneId lane, bool awaited, Finished finished) {
  if (awaited) {
    --StateOf(lane).awaiting;
    Enqueue(lane);
  }
  for (auto& [callback, settlement] : finished) callback(settlement);
}

Duration Dispatcher::Step(Now now) {
  while (!wakes_.empty() && wakes_.begin()->first <= now.monotonic) {
    const LaneId lane = wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    StateOf(lane).wake_at.reset();
    Enqueue(lane);
  }
  // A lane that starts something goes to the end of the line.
  while (in_flight_.size() < static_cast<size_t>(rules_.max_in_flight)) {
    if (ready_.empty() && !OfferRegionSlot()) break;
    const LaneId lane = ready_.front();
    ready_.pop_front();
    StateOf(lane).queued = false;
    TryStart(lane, now);
  }
  if (wakes_.empty()) return kMaxSleep;
  return std::clamp<Duration>(wakes_.begin()->first - now.monotonic,
                              Duration(1), kMaxSleep);
}

// A lane that waits for its region may turn out to have nothing to send now;
// the slot is then offered to the next.
bool Dispatcher::OfferRegionSlot() {
  for (const RegionRow& row : kRegions) {
    const std::optional<LaneId> lane = region_slots_.Offer(row.region);
    if (!lane.has_value()) continue;
    ready_.push_back(*lane);
    return true;
  }
  return false;
}

const Backlog* Dispatcher::BacklogOf(absl::string_view destination) const {
  const auto it = target_by_name_.find(destination);
  return it == target_by_name_.end() ? nullptr : &targets_[it->second]->backlog;
}

void Dispatcher::UpdateBacklog(Target& target, Now now) {
  uint64_t bytes = 0;
  for (const LaneId id : target.lanes) bytes += StateOf(id).lane.queued_bytes();
  target.backlog.SetBytes(bytes);
  if (now.monotonic < target.next_forecast) return;
  target.next_forecast = now.monotonic + kForecastInterval;
  target.backlog.SetForecast(DrainedIn(target, now));
}

std::optional<BatchTrace> Dispatcher::TraceOf(LaneId lane, const Batch& batch,
                                              AttemptId attempt) const {
  const auto context = traces_.FirstOf(lane, batch.items);
  if (!context.has_value()) return std::nullopt;
  // Attempts of other spools must not get the same span in one trace, and zero
  // is none. The multiplier is that of Knuth's 64-bit congruential generator.
  const uint64_t span = (attempt ^ spool_.id()) * 6'364'136'223'846'793'005u;
  return BatchTrace{.context = *context, .span = std::max<uint64_t>(span, 1)};
}

void Dispatcher::StorePlan(LaneId lane, BatchPlan& plan, Now now,
                           SpoolChange& change) {
  if (!StateOf(lane).lane.coalesces()) return;
  plan.stored_as = history_.NextId(now.wall);
  change.PutPlan(plan.stored_as,
                 {.lane = lane, .main = plan.main, .deferred = plan.deferred});
}

std::optional<MonotonicTime> Dispatcher::BlockedUntil(LaneState& state,
                                                      Now now) {
  // Never: whatever ends the blockade also enqueues the lane.
  constexpr MonotonicTime kNever = MonotonicTime::max();
  Target& target = TargetOf(state);
  if (target.paused || state.awaiting > 0) return kNever;
  if (target.held_until > now.monotonic) return target.held_until;
  if (state.not_before > now.monotonic) return state.not_before;
  if (target.misconfigured_failures > 0 && target.in_flight > 0) return kNever;
  if (state.failures > 0 && (target.probing || state.in_flight > 0)) {
    return kNever;
  }
  if (target.in_flight >= target.concurrency.limit()) return kNever;
  return std::nullopt;
}

void Dispatcher::TakeBackUsage(Target& target, LaneState& state, Now now) {
  UsageLedger* ledger = target.LedgerOf(state.lane.key().type);
  if (ledger == nullptr) return;
  const std::vector<uint64_t> freed = ledger->Advance(now.monotonic);
  if (freed.empty()) return;
  // Items of these identities may wait in the lane of any caller.
  for (const LaneId id : target.Of(state.lane.key().type).lanes) {
    LaneState& other = StateOf(id);
    if (!other.lane.waits_for_ledger()) continue;
    for (const uint64_t hash : freed) other.lane.OnFreed(hash);
    if (&other != &state) Enqueue(id);
  }
}

// The lane whose turn it is when `candidate` could start: among those of its
// type that could too, the one that used least.
LaneId Dispatcher::WhoseTurn(Target& target, LaneId candidate, Now now) {
  const ObjectType type = StateOf(candidate).lane.key().type;
  const UsageLedger& ledger = *target.LedgerOf(type);
  LaneId turn = candidate;
  uint64_t least = ledger.UsedBy(candidate);
  for (const LaneId id : target.Of(type).lanes) {
    LaneState& state = StateOf(id);
    const auto ready = state.lane.ReadyAt(target.destination->batch);
    if (!ready.has_value() || *ready > now.monotonic) continue;
    if (BlockedUntil(state, now).has_value()) continue;
    const uint64_t used = ledger.UsedBy(state.lane.id());
    if (used >= least) continue;
    turn = id;
    least = used;
  }
  return turn;
}

void Dispatcher::TryStart(LaneId id, Now now) {
  LaneState& state = StateOf(id);
  Target& target = TargetOf(state);
  Lane& lane = state.lane;
  UsageLedger* ledger = target.LedgerOf(lane.key().type);
  if (ledger != nullptr) {
    TakeBackUsage(target, state, now);
    const auto release = ledger->NextRelease();
    if (lane.waits_for_ledger() && release.has_value()) WakeAt(id, *release);
  }
  const std::optional<MonotonicTime> ready =
      lane.ReadyAt(target.destination->batch);
  if (!ready.has_value()) return;
  if (*ready > now.monotonic) return WakeAt(id, *ready);
  if (const auto until = BlockedUntil(state, now); until.has_value()) {
    if (*until != MonotonicTime::max()) WakeAt(id, *until);
    return;
  }
  const Region region = target.destination->region;
  if (region_slots_.full(region)) {
    state.queued = true;
    return region_slots_.Wait(region, id);
  }
  const bool counts_items =
      PolicyOf(lane.key().type).limit.unit == LimitedUnit::kItems;
  Target::OfType& of_type = target.Of(lane.key().type);
  uint32_t max_items = UsageLedger::kUnlimited;
  if (counts_items) {
    max_items = of_type.shares.Allowance(*ledger, id, now);
  }
  state.limit_holds = max_items == 0;
  if (ledger != nullptr &&
      (max_items == 0 || ledger->entries() > kMaxLedgerEntries)) {
    // Nothing has ended yet: the end of what is in flight enqueues the lane.
    if (const auto release = ledger->NextRelease(); release.has_value()) {
      WakeAt(id, *release);
    }
    if (counts_items && of_type.shares.next() > now.monotonic) {
      WakeAt(id, of_type.shares.next());
    }
    return;
  }
  if (counts_items && of_type.lanes.size() > 1) {
    const LaneId turn = WhoseTurn(target, id, now);
    const uint32_t most = of_type.shares.Allowance(*ledger, turn, now);
    if (turn != id && most > 0) {
      Pull(turn, most, now);
      return Enqueue(id);
    }
  }
  Pull(id, max_items, now);
}

void Dispatcher::Pull(LaneId id, uint32_t max_items, Now now) {
  LaneState& state = StateOf(id);
  Target& target = TargetOf(state);
  state.limit_holds = false;
  const ObjectType type = state.lane.key().type;
  absl::StatusOr<Lane::Pull> pull =
      state.lane.Next({.now = now,
                       .destination = *target.destination,
                       .ledger = target.LedgerOf(type),
                       .max_age = rules_.max_age,
                       .max_items = max_items,
                       .may_defer = !disk_short_});
  if (!pull.ok()) {
    target.last_error = std::string(pull.status().message());
    target.last_error_at = now.wall;
    state.not_before = now.monotonic + kStorageRetry;
    return WakeAt(id, state.not_before);
  }
  if (pull->waits_for_space && !pull->batch.has_value()) {
    state.not_before = now.monotonic + kStorageRetry;
  }
  if (PolicyOf(type).limit.unit != LimitedUnit::kItems) {
    return Start(id, *std::move(pull), now);
  }
  const UsageLedger& ledger = *target.LedgerOf(type);
  const uint64_t before = ledger.UsedBy(id);
  Start(id, *std::move(pull), now);
  target.Of(type).shares.OnBegun(ledger, before, ledger.UsedBy(id),
                                 now.monotonic);
}

void Dispatcher::Start(LaneId id, Lane::Pull pull, Now now) {
  LaneState& state = StateOf(id);
  Target& target = TargetOf(state);
  UsageLedger* ledger = target.LedgerOf(state.lane.key().type);
  Finished finished = state.lane.waiters().TakeFinished();
  std::optional<HeapRequest> request;
  if (pull.held.has_value()) {
    StorePlan(id, *pull.held, now, pull.change);
    state.lane.Hold(*std::move(pull.held));
  }
  const bool deferred_ended = state.lane.TakeDeferredEnded();
  // A pull that only buries or defers waits for its change, too, so that a
  // long backlog of such items neither piles up changes nor keeps the thread.
  const bool only_changes = !pull.batch.has_value() && !pull.change.empty();
  const bool awaited = pull.deferred || deferred_ended || only_changes;
  if (awaited) ++state.awaiting;
  if (pull.used_plan != 0) pull.change.DeletePlan(pull.used_plan);
  if (pull.batch.has_value()) {
    Batch& batch = *pull.batch;
    const AttemptId attempt = history_.NextId(now.wall);
    if (batch.id == 0) batch.id = attempt;
    ++batch.tries;
    if (state.lane.coalesces()) {
      const BatchPlan plan = batch.PlanOf(0, batch.items.size());
      pull.change.PutPlan(
          attempt, {.lane = id, .main = plan.main, .deferred = plan.deferred});
      batch.stored_as = attempt;
    }
    const Region region = target.destination->region;
    const std::optional<BatchTrace> trace = TraceOf(id, batch, attempt);
    request =
        HeapRequest{.id = attempt,
                    .url = absl::StrCat(rules_.region_urls[IndexOf(region)],
                                        HeapPath(state.lane.key().type)),
                    .body = std::move(batch.body)};
    if (trace.has_value() && rules_.send_traceparent) {
      request->traceparent = trace->context.TraceParent(trace->span);
    }
    if (ledger != nullptr) {
      pull.change.PutUsage(attempt, {.lane = id, .identities = pull.usage});
      ledger->Begin(attempt, std::move(pull.usage), id);
    }
    region_slots_.Take(region);
    ++target.in_flight;
    ++state.in_flight;
    const bool probe = state.failures > 0;
    if (probe) target.probing = true;
    in_flight_.emplace(attempt, InFlight{.lane = id,
                                         .batch = std::move(batch),
                                         .started = now,
                                         .trace = trace,
                                         .region = region,
                                         .probe = probe});
  }
  for (const uint64_t hash : pull.over_limit) {
    if (ledger != nullptr && ledger->IdentityAllowance(hash) == 0) {
      ledger->Watch(hash);
    } else {
      state.lane.OnFreed(hash);
    }
  }
  if (ledger != nullptr && state.lane.waits_for_ledger()) {
    if (const auto release = ledger->NextRelease(); release.has_value()) {
      WakeAt(id, *release);
    }
  }
  // What the request takes from the limits, and which updates travel in it,
  // must be known after a crash of the machine too.
  const bool must_be_known =
      state.lane.coalesces() || (ledger != nullptr && ledger->limits());
  if (request.has_value() && must_be_known) pull.change.RequireDisk();
  if (!pull.change.empty() || request.has_value() || awaited ||
      !finished.empty()) {
    committer_.Apply(std::move(pull.change),
                     [this, id, awaited, request = std::move(request),
                      finished = std::move(finished)]() mutable {
                       if (request.has_value()) {
                         transport_.Send(*std::move(request));
                       }
                       OnStored(id, awaited, std::move(finished));
                     });
  }
  UpdateBacklog(target, now);
  Enqueue(id);
}

bool Dispatcher::Pause(absl::string_view destination, bool paused) {
  if (!destination.empty() && !target_by_name_.contains(destination)) {
    return false;
  }
  SpoolChange change;
  for (const auto& target : targets_) {
    if (!destination.empty() && target->destination->name != destination) {
      continue;
    }
    target->paused = paused;
    change.PutPaused(target->destination->name, paused);
    EnqueueLanesOf(*target);
  }
  change.RequireDisk();
  committer_.Apply(std::move(change), nullptr);
  return true;
}

bool Dispatcher::Flush(absl::string_view destination, SettledCallback done) {
  if (!destination.empty() && !target_by_name_.contains(destination)) {
    return false;
  }
  struct Join {
    size_t open = 1;
    Settlement sum;
    SettledCallback done;
    void End(Settlement part) {
      sum.delivered += part.delivered;
      sum.dead_lettered += part.dead_lettered;
      if (--open == 0) done(sum);
    }
  };
  // Shared by the lanes' callbacks: the last of them ends it.
  const auto join = std::make_shared<Join>();
  join->done = std::move(done);
  for (const auto& target : targets_) {
    if (!destination.empty() && target->destination->name != destination) {
      continue;
    }
    for (const LaneId id : target->lanes) {
      Lane& lane = StateOf(id).lane;
      if (lane.queued_items() == 0) continue;
      ++join->open;
      lane.FlushPartialBatches();
      lane.waiters().WaitForAllBelow(
          lane.head(), lane.queued_items(),
          [join](Settlement part) { join->End(part); });
      Enqueue(id);
    }
  }
  join->End({});
  return true;
}

uint64_t Dispatcher::queued_items() const {
  uint64_t items = 0;
  for (const auto& [id, state] : lanes_) items += state->lane.queued_items();
  return items;
}

}  // namespace heapsync
