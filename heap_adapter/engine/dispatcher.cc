#include "heap_adapter/engine/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr Duration kLongestSleep = std::chrono::seconds(60);
constexpr Duration kForecastInterval = std::chrono::milliseconds(250);
constexpr Duration kForgettingInterval = std::chrono::seconds(1);
constexpr Duration kStorageRetry = std::chrono::seconds(1);
// A user ledger holds an entry for each user of each request in its window; its
// memory stays bounded by letting a lane wait beyond this.
constexpr size_t kMostLedgerEntries = 1 << 20;
// Each throttled answer halves the rate; each delivered batch gives back this.
constexpr double kLowestFactor = 1.0 / 64;
constexpr double kRecovery = 0.01;
constexpr Duration kEventWindow = std::chrono::seconds(60);

// Of a destination's limit, one part in so many is kept for callers that use
// less than their share, beside what they used lately. More kept: shorter waits
// for them when they come to use more, less use of the limit by the others.
constexpr uint32_t kKeptForTheModest = 128;
// Attempts forgotten in one go.
constexpr int kPruneStep = 8;

uint32_t Share(uint32_t limit, double share) {
  if (limit == 0) return 0;
  return std::max<uint32_t>(
      1, static_cast<uint32_t>(static_cast<double>(limit) * share));
}

// The request certainly never reached Heap.
bool NeverSent(const HeapAnswer& answer) {
  const auto* failure = std::get_if<TransportFailure>(&answer.result);
  if (failure == nullptr) return false;
  switch (failure->kind) {
    case TransportFailure::Kind::kDns:
    case TransportFailure::Kind::kConnect:
    case TransportFailure::Kind::kTls:
    case TransportFailure::Kind::kTlsVerification:
      return true;
    default:
      return false;
  }
}

uint32_t StatusOf(const HeapAnswer& answer) {
  const auto* http = std::get_if<HttpAnswer>(&answer.result);
  return http == nullptr ? 0 : static_cast<uint32_t>(http->status);
}

}  // namespace

Dispatcher::Target::Target(const Destination& destination_in,
                           int most_under_way)
    : destination(&destination_in),
      events({.window = kEventWindow,
              .total = Share(destination_in.limits.events_per_minute,
                             destination_in.limit_share),
              .per_identity =
                  Share(destination_in.limits.events_per_identity_per_minute,
                        destination_in.limit_share)}),
      users({.window = std::chrono::seconds(30),
             .per_identity =
                 Share(destination_in.limits.user_requests_per_identity_per_30s,
                       destination_in.limit_share)}),
      concurrency(most_under_way) {}

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
      traces_(rules.most_traces) {
  for (const Destination& destination : destinations) {
    target_by_name_.emplace(destination.name, targets_.size());
    targets_.push_back(std::make_unique<Target>(
        destination, rules_.most_under_way_per_destination));
  }
}

UsageLedger* Dispatcher::LedgerOf(Target& target, ObjectType type) {
  switch (type) {
    case ObjectType::kTrackEvent:
      return &target.events;
    case ObjectType::kUserProperties:
      return &target.users;
    case ObjectType::kAccountProperties:
      return nullptr;
  }
  return nullptr;
}

absl::Status Dispatcher::Recover(const std::vector<StoredLane>& lanes, Now now,
                                 uint64_t epoch) {
  epoch_ = epoch;
  for (const StoredLane& stored : lanes) {
    const auto target = target_by_name_.find(stored.key.destination);
    if (target == target_by_name_.end()) continue;
    auto aside = spool_.AsideIdentities(stored.id);
    if (!aside.ok()) return aside.status();
    AddLane(stored, *aside, target->second);
  }
  for (const auto& target : targets_) {
    auto paused = spool_.IsPaused(target->destination->name);
    if (!paused.ok()) return paused.status();
    target->paused = *paused;
  }
  absl::Status restored = absl::OkStatus();
  const absl::Status visited =
      spool_.VisitPlans([&](AttemptId id, const PlanRecord& record) {
        const auto lane = lanes_.find(record.lane);
        if (lane == lanes_.end()) return;
        restored.Update(lane->second->lane.Restore(id, record));
      });
  if (!visited.ok()) return visited;
  if (!restored.ok()) return restored;
  for (const auto& target : targets_) TellBacklog(*target, now);
  return RecoverUsage(now);
}

void Dispatcher::AddLane(const StoredLane& stored,
                         const std::vector<AsideIdentity>& aside,
                         size_t target) {
  lanes_.emplace(stored.id,
                 std::make_unique<LaneState>(spool_, stored, aside, target));
  targets_[target]->lanes.push_back(stored.id);
  if (stored.key.type == ObjectType::kTrackEvent) {
    targets_[target]->event_lanes.push_back(stored.id);
  }
  Enqueue(stored.id);
}

absl::Status Dispatcher::SetDestination(const Destination& destination,
                                        const std::vector<StoredLane>& lanes,
                                        Now now) {
  const auto known = target_by_name_.find(destination.name);
  if (known == target_by_name_.end()) {
    return AddTarget(destination, lanes, now);
  }
  Target& target = *targets_[known->second];
  const Target fresh(destination, rules_.most_under_way_per_destination);
  // Nobody counted what identities used while they had no limit.
  if ((fresh.events.limits_identities() &&
       !target.events.limits_identities()) ||
      (fresh.users.limits_identities() && !target.users.limits_identities())) {
    target.held_until =
        std::max(target.held_until, now.monotonic + kEventWindow);
  }
  target.destination = &destination;
  target.events.SetLimits(fresh.events.rules());
  target.users.SetLimits(fresh.users.rules());
  EnqueueLanesOf(target);
  return absl::OkStatus();
}

absl::Status Dispatcher::AddTarget(const Destination& destination,
                                   const std::vector<StoredLane>& lanes,
                                   Now now) {
  const absl::StatusOr<bool> paused = spool_.IsPaused(destination.name);
  if (!paused.ok()) return paused.status();
  std::vector<std::pair<const StoredLane*, std::vector<AsideIdentity>>> own;
  for (const StoredLane& stored : lanes) {
    if (stored.key.destination != destination.name) continue;
    auto aside = spool_.AsideIdentities(stored.id);
    if (!aside.ok()) return aside.status();
    own.emplace_back(&stored, *std::move(aside));
  }
  std::vector<std::pair<AttemptId, PlanRecord>> plans;
  const absl::Status visited =
      spool_.VisitPlans([&](AttemptId id, const PlanRecord& record) {
        for (const auto& [stored, aside] : own) {
          if (stored->id == record.lane) plans.emplace_back(id, record);
        }
      });
  if (!visited.ok()) return visited;

  const size_t index = targets_.size();
  targets_.push_back(std::make_unique<Target>(
      destination, rules_.most_under_way_per_destination));
  target_by_name_.emplace(destination.name, index);
  Target& target = *targets_[index];
  target.paused = *paused;
  for (const auto& [stored, aside] : own) AddLane(*stored, aside, index);
  // What this destination's lanes used before they were left alone is not known
  // any more.
  if (!own.empty()) target.held_until = now.monotonic + kEventWindow;
  absl::Status restored = absl::OkStatus();
  for (const auto& [id, record] : plans) {
    restored.Update(StateOf(record.lane).lane.Restore(id, record));
  }
  TellBacklog(target, now);
  return restored;
}

absl::Status Dispatcher::RecoverUsage(Now now) {
  absl::StatusOr<AttemptId> last = spool_.LastAttempt();
  if (!last.ok()) return last.status();
  last_attempt_ = *last;
  absl::Status status =
      spool_.VisitAttempts(0, [this](AttemptId id, const AttemptRecord&) {
        if (attempts_kept_++ == 0) oldest_kept_ = id;
        return true;
      });
  if (!status.ok()) return status;

  struct Used {
    AttemptId id;
    UsageRecord record;
    MonotonicTime ended;
  };
  std::vector<Used> used;
  status = spool_.VisitUsage([&](AttemptId id, const UsageRecord& record) {
    used.push_back({.id = id, .record = record, .ended = now.monotonic});
  });
  if (!status.ok()) return status;
  SpoolChange found;
  for (Used& each : used) {
    auto attempt = spool_.FindAttempt(each.id);
    if (!attempt.ok()) return attempt.status();
    if (attempt->has_value() && (*attempt)->epoch == epoch_) {
      each.ended = std::min((*attempt)->ended, now.monotonic);
    } else if (each.record.epoch == epoch_) {
      each.ended = std::min(each.record.ended, now.monotonic);
    } else {
      // It was under way when the process ended, or nothing tells how long ago
      // it ended. That it has by now is noted: every start would count it anew.
      each.record.ended = now.monotonic;
      each.record.epoch = epoch_;
      found.PutUsage(each.id, each.record);
    }
  }
  if (!found.empty()) Apply(std::move(found), {});
  std::sort(used.begin(), used.end(),
            [](const Used& a, const Used& b) { return a.ended < b.ended; });
  for (Used& each : used) {
    usage_records_.emplace_back(each.ended + std::chrono::seconds(60), each.id);
    const auto it = lanes_.find(each.record.lane);
    if (it == lanes_.end()) continue;
    LaneState& state = *it->second;
    UsageLedger* ledger = LedgerOf(TargetOf(state), state.lane.key().type);
    if (ledger == nullptr) continue;
    ledger->Begin(each.id, std::move(each.record.identities), each.record.lane);
    ledger->End(each.id, each.ended);
  }
  return absl::OkStatus();
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
    TellBacklog(TargetOf(state), now);
    Enqueue(lane);
  }
  for (const Applied& applied : notices.applied) {
    const auto it = once_applied_.find(applied.token);
    OnceApplied then = std::move(it->second);
    once_applied_.erase(it);
    if (then.send.has_value()) transport_.Send(*std::move(then.send));
    if (then.awaiting_lane.has_value()) {
      --StateOf(*then.awaiting_lane).awaiting;
      Enqueue(*then.awaiting_lane);
    }
    for (auto& [callback, settlement] : then.finished) callback(settlement);
  }
}

Duration Dispatcher::Step(Now now) {
  while (!wakes_.empty() && wakes_.begin()->first <= now.monotonic) {
    const LaneId lane = wakes_.begin()->second;
    wakes_.erase(wakes_.begin());
    StateOf(lane).wake_at.reset();
    Enqueue(lane);
  }
  // A lane that starts something goes to the end of the line.
  while (under_way_.size() < static_cast<size_t>(rules_.most_under_way)) {
    if (ready_.empty() && !OfferRegionSlot()) break;
    const LaneId lane = ready_.front();
    ready_.pop_front();
    StateOf(lane).queued = false;
    TryStart(lane, now);
  }
  if (wakes_.empty()) return kLongestSleep;
  return std::clamp<Duration>(wakes_.begin()->first - now.monotonic,
                              Duration(1), kLongestSleep);
}

// A lane that waits for its region may turn out to have nothing to send now;
// the slot is then offered to the next.
bool Dispatcher::OfferRegionSlot() {
  for (const Region region : {Region::kUs, Region::kEu}) {
    std::deque<LaneId>& waiting = waiting_for_region_[region == Region::kEu];
    if (waiting.empty() ||
        RegionUse(region) >= rules_.most_under_way_per_region) {
      continue;
    }
    ready_.push_back(waiting.front());
    waiting.pop_front();
    return true;
  }
  return false;
}

const Backlog* Dispatcher::BacklogOf(absl::string_view destination) const {
  const auto it = target_by_name_.find(destination);
  return it == target_by_name_.end() ? nullptr : &targets_[it->second]->backlog;
}

void Dispatcher::TellBacklog(Target& target, Now now) {
  uint64_t bytes = 0;
  for (const LaneId id : target.lanes) bytes += StateOf(id).lane.queued_bytes();
  target.backlog.SetBytes(bytes);
  if (now.monotonic < target.next_forecast) return;
  target.next_forecast = now.monotonic + kForecastInterval;
  target.backlog.SetForecast(DrainedIn(target, now));
}

AttemptId Dispatcher::NextId(Now now) {
  last_attempt_ = std::max<AttemptId>(
      last_attempt_ + 1,
      static_cast<AttemptId>(now.wall.time_since_epoch().count()));
  return last_attempt_;
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
  if (!StateOf(lane).lane.merges()) return;
  plan.stored_as = NextId(now);
  change.PutPlan(plan.stored_as,
                 {.lane = lane, .main = plan.main, .aside = plan.aside});
}

std::optional<MonotonicTime> Dispatcher::BlockedUntil(LaneState& state,
                                                      Now now) {
  // Never: whatever ends the blockade also enqueues the lane.
  constexpr MonotonicTime kNever = MonotonicTime::max();
  Target& target = TargetOf(state);
  if (target.paused || state.awaiting > 0) return kNever;
  if (target.held_until > now.monotonic) return target.held_until;
  if (state.not_before > now.monotonic) return state.not_before;
  if (target.setup_failures > 0 && target.under_way > 0) return kNever;
  if (state.failures > 0 && (target.probing || state.under_way > 0)) {
    return kNever;
  }
  if (target.under_way >= target.concurrency.limit()) return kNever;
  return std::nullopt;
}

void Dispatcher::TakeBackUsage(Target& target, LaneState& state, Now now) {
  UsageLedger* ledger = LedgerOf(target, state.lane.key().type);
  if (ledger == nullptr) return;
  const std::vector<uint64_t> freed = ledger->Advance(now.monotonic);
  if (state.lane.key().type != ObjectType::kTrackEvent) {
    for (const uint64_t hash : freed) state.lane.OnFreed(hash);
    return;
  }
  // Whoever waits for one of these identities, it may be in any caller's lane.
  for (const LaneId id : target.event_lanes) {
    LaneState& other = StateOf(id);
    if (!other.lane.waits_for_ledger()) continue;
    for (const uint64_t hash : freed) other.lane.OnFreed(hash);
    if (&other != &state && !freed.empty()) Enqueue(id);
  }
}

// The part of the event limit that each caller may take at once; all of it
// where there is nobody to share it with.
uint64_t Dispatcher::EventShare(const Target& target) {
  const uint32_t limit = target.events.total_limit();
  const size_t callers = target.event_lanes.size();
  if (limit == UsageLedger::kUnlimited || callers < 2) return limit;
  return limit / callers;
}

uint32_t Dispatcher::EventAllowance(LaneState& state, Now now) {
  Target& target = TargetOf(state);
  const uint32_t allowance = target.events.TotalAllowance();
  const uint32_t limit = target.events.total_limit();
  const uint64_t share = EventShare(target);
  if (share == limit) return allowance;
  uint64_t kept = std::max<uint64_t>(1, limit / kKeptForTheModest);
  for (const LaneId id : target.event_lanes) {
    LaneState& other = StateOf(id);
    const uint64_t used = target.events.UsedBy(id);
    const uint64_t needs = std::min(other.used.Greatest(used, now), share);
    if (&other != &state && needs > used) kept += needs - used;
  }
  const uint64_t used = target.events.UsedBy(state.lane.id());
  const uint64_t within =
      std::min<uint64_t>(allowance, used < share ? share - used : 0);
  const uint64_t beyond = target.beyond_shares.Allowance(
      target.events, allowance > kept ? allowance - kept : 0, now.monotonic);
  return static_cast<uint32_t>(std::max(within, beyond));
}

// The lane whose turn it is when `candidate` could start: of those that could
// too, the one that used least.
LaneId Dispatcher::WhoseTurn(Target& target, LaneId candidate, Now now) {
  LaneId turn = candidate;
  uint64_t least = target.events.UsedBy(candidate);
  for (const LaneId id : target.event_lanes) {
    LaneState& state = StateOf(id);
    const auto ready = state.lane.ReadyAt(target.destination->batch);
    if (!ready.has_value() || *ready > now.monotonic) continue;
    if (BlockedUntil(state, now).has_value()) continue;
    const uint64_t used = target.events.UsedBy(state.lane.id());
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
  UsageLedger* ledger = LedgerOf(target, lane.key().type);
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
  if (RegionUse(region) >= rules_.most_under_way_per_region) {
    state.queued = true;
    waiting_for_region_[region == Region::kEu].push_back(id);
    return;
  }
  const bool counts_items = lane.key().type == ObjectType::kTrackEvent;
  uint32_t most_items = UsageLedger::kUnlimited;
  if (counts_items) most_items = EventAllowance(state, now);
  state.limit_holds = most_items == 0;
  if (ledger != nullptr &&
      (most_items == 0 || ledger->entries() > kMostLedgerEntries)) {
    // Nothing has ended yet: the end of what is under way enqueues the lane.
    if (const auto release = ledger->NextRelease(); release.has_value()) {
      WakeAt(id, *release);
    }
    if (counts_items && target.beyond_shares.next() > now.monotonic) {
      WakeAt(id, target.beyond_shares.next());
    }
    return;
  }
  if (counts_items && target.event_lanes.size() > 1) {
    const LaneId turn = WhoseTurn(target, id, now);
    const uint32_t most = EventAllowance(StateOf(turn), now);
    if (turn != id && most > 0) {
      Pull(turn, most, now);
      return Enqueue(id);
    }
  }
  Pull(id, most_items, now);
}

void Dispatcher::Pull(LaneId id, uint32_t most_items, Now now) {
  LaneState& state = StateOf(id);
  Target& target = TargetOf(state);
  state.limit_holds = false;
  const ObjectType type = state.lane.key().type;
  absl::StatusOr<Lane::Pull> pull =
      state.lane.Next({.now = now,
                       .destination = *target.destination,
                       .ledger = LedgerOf(target, type),
                       .counts_items = type == ObjectType::kTrackEvent,
                       .max_age = rules_.max_age,
                       .most_items = most_items});
  if (!pull.ok()) {
    target.last_error = std::string(pull.status().message());
    target.last_error_at = now.wall;
    state.not_before = now.monotonic + kStorageRetry;
    return WakeAt(id, state.not_before);
  }
  const uint64_t share = EventShare(target);
  const uint64_t before = std::max(share, target.events.UsedBy(id));
  Start(id, *std::move(pull), now);
  const uint64_t after = target.events.UsedBy(id);
  if (after > before) {
    target.beyond_shares.OnTaken(after - before, now.monotonic);
  }
}

void Dispatcher::Start(LaneId id, Lane::Pull pull, Now now) {
  LaneState& state = StateOf(id);
  Target& target = TargetOf(state);
  UsageLedger* ledger = LedgerOf(target, state.lane.key().type);
  OnceApplied then;
  then.finished = state.lane.waiters().TakeFinished();
  if (pull.deferred.has_value()) {
    StorePlan(id, *pull.deferred, now, pull.change);
    state.lane.Defer(*std::move(pull.deferred));
  }
  const bool aside_ended = state.lane.TakeAsideEnded();
  // A pull that only buries or sets aside waits for its change, too, so that a
  // long backlog of such items neither piles up changes nor keeps the thread.
  const bool only_changes = !pull.batch.has_value() && !pull.change.empty();
  if (pull.set_aside || aside_ended || only_changes) {
    ++state.awaiting;
    then.awaiting_lane = id;
  }
  if (pull.used_plan != 0) pull.change.DeletePlan(pull.used_plan);
  if (pull.batch.has_value()) {
    Batch& batch = *pull.batch;
    const AttemptId attempt = NextId(now);
    if (batch.id == 0) batch.id = attempt;
    ++batch.tries;
    if (state.lane.merges()) {
      const BatchPlan plan = batch.PlanOf(0, batch.items.size());
      pull.change.PutPlan(attempt,
                          {.lane = id, .main = plan.main, .aside = plan.aside});
      batch.stored_as = attempt;
    }
    const Region region = target.destination->region;
    const std::optional<BatchTrace> trace = TraceOf(id, batch, attempt);
    then.send =
        HeapRequest{.id = attempt,
                    .url = absl::StrCat(
                        region == Region::kUs ? rules_.us_url : rules_.eu_url,
                        HeapPath(state.lane.key().type)),
                    .body = std::move(batch.body)};
    if (trace.has_value() && rules_.send_traceparent) {
      then.send->traceparent = trace->context.TraceParent(trace->span);
    }
    if (ledger != nullptr) {
      pull.change.PutUsage(attempt, {.lane = id, .identities = pull.usage});
      ledger->Begin(attempt, std::move(pull.usage), id);
    }
    ++RegionUse(region);
    ++target.under_way;
    ++state.under_way;
    const bool probe = state.failures > 0;
    if (probe) target.probing = true;
    under_way_.emplace(attempt, UnderWay{.lane = id,
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
      state.lane.merges() || (ledger != nullptr && ledger->limits());
  if (then.send.has_value() && must_be_known) pull.change.RequireDisk();
  if (!pull.change.empty() || then.send.has_value() ||
      then.awaiting_lane.has_value() || !then.finished.empty()) {
    Apply(std::move(pull.change), std::move(then));
  }
  TellBacklog(target, now);
  Enqueue(id);
}

void Dispatcher::Apply(SpoolChange change, OnceApplied then) {
  const uint64_t token = ++last_token_;
  once_applied_.emplace(token, std::move(then));
  committer_.Apply(std::move(change), token);
}

void Dispatcher::OnAnswers(std::vector<HeapAnswer> answers, Now now) {
  for (HeapAnswer& answer : answers) OnAnswer(std::move(answer), now);
}

void Dispatcher::OnAnswer(HeapAnswer answer, Now now) {
  const auto it = under_way_.find(answer.request_id);
  UnderWay attempt = std::move(it->second);
  under_way_.erase(it);
  const AttemptId id = answer.request_id;
  LaneState& state = StateOf(attempt.lane);
  Target& target = TargetOf(state);

  const Region region = attempt.region;
  --RegionUse(region);
  --target.under_way;
  --state.under_way;
  if (attempt.probe) target.probing = false;
  const Verdict verdict = Classify(answer, state.lane.key().type,
                                   attempt.batch.items.size(), now.wall);
  SpoolChange change;
  EndAttempt(attempt, verdict, answer, id, now, change);
  const std::optional<Duration> next_try =
      Judge(attempt, verdict, answer, now, change);
  Prune(state, now, change);
  TellBacklog(target, now);
  OnceApplied then{.finished = state.lane.waiters().TakeFinished()};
  if (state.lane.TakeAsideEnded()) {
    ++state.awaiting;
    then.awaiting_lane = attempt.lane;
  }
  Apply(std::move(change), std::move(then));

  if (events_) {
    WallTime oldest = now.wall;
    for (const BatchItem& item : attempt.batch.items) {
      oldest = std::min(oldest, item.accepted_at);
    }
    events_({.destination = *target.destination,
             .type = state.lane.key().type,
             .batch_id = attempt.batch.id,
             .attempt_id = id,
             .tries = attempt.batch.tries,
             .items = attempt.batch.items,
             .ended_at = now.wall,
             .trace = attempt.trace,
             .verdict = verdict,
             .latency = now.monotonic - attempt.started.monotonic,
             .oldest_item_age = now.wall - oldest,
             .next_try_in = next_try});
  }
  // Whoever waits for the region goes before the one that was just served.
  std::deque<LaneId>& waiting = waiting_for_region_[region == Region::kEu];
  if (!waiting.empty()) {
    ready_.push_front(waiting.front());
    waiting.pop_front();
  }
  EnqueueLanesOf(target);
}

void Dispatcher::EndAttempt(UnderWay& attempt, const Verdict& verdict,
                            const HeapAnswer& answer, AttemptId id, Now now,
                            SpoolChange& change) {
  LaneState& state = StateOf(attempt.lane);
  UsageLedger* ledger = LedgerOf(TargetOf(state), state.lane.key().type);
  if (ledger != nullptr) {
    if (NeverSent(answer)) {
      ledger->Refund(id);
      change.DeleteUsage(id);
    } else {
      ledger->End(id, now.monotonic);
      usage_records_.emplace_back(now.monotonic + std::chrono::seconds(60), id);
    }
  }
  AttemptRecord record{
      .lane = attempt.lane,
      .batch_id = attempt.batch.id,
      .started_at = attempt.started.wall,
      .ended_at = now.wall,
      .ended = now.monotonic,
      .epoch = epoch_,
      .answer_class = verdict.answer_class,
      .http_status = StatusOf(answer),
      .summary = verdict.summary,
      .items = static_cast<uint32_t>(attempt.batch.items.size()),
      .seqs = attempt.batch.Seqs(),
      .merged = {}};
  for (const BatchItem& item : attempt.batch.items) {
    for (const Seq seq : item.merged) record.merged.emplace_back(seq, item.seq);
  }
  change.PutAttempt(id, record);
  if (attempts_kept_++ == 0) oldest_kept_ = id;
}

std::optional<Duration> Dispatcher::Judge(UnderWay& attempt,
                                          const Verdict& verdict,
                                          const HeapAnswer& answer, Now now,
                                          SpoolChange& change) {
  LaneState& state = StateOf(attempt.lane);
  Target& target = TargetOf(state);
  const Batch& batch = attempt.batch;
  if (verdict.answer_class != AnswerClass::kDelivered) {
    target.last_error = verdict.summary;
    target.last_error_at = now.wall;
  }
  if (verdict.answer_class != AnswerClass::kSetup) target.setup_failures = 0;

  const auto again_in = [&](Duration backoff) {
    const Duration wait = verdict.retry_after.value_or(backoff);
    state.lane.Return(batch.PlanOf(0, batch.items.size()));
    return wait;
  };
  switch (verdict.answer_class) {
    case AnswerClass::kDelivered: {
      state.failures = 0;
      target.concurrency.OnSuccess(now.monotonic - attempt.started.monotonic);
      target.events.Slow(std::min(1.0, target.events.factor() + kRecovery));
      const uint64_t before = state.lane.counts().delivered;
      state.lane.Deliver(batch, change);
      if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
      state.delivered.Add(state.lane.counts().delivered - before,
                          now.monotonic);
      return std::nullopt;
    }
    case AnswerClass::kThrottled:
      if (state.lane.key().type == ObjectType::kTrackEvent) {
        target.events.Slow(std::max(kLowestFactor, target.events.factor() / 2));
      }
      [[fallthrough]];
    case AnswerClass::kTransient: {
      ++state.failures;
      target.concurrency.OnTrouble();
      const Duration wait =
          again_in(FullJitter(state.failures, rules_.backoff, random01_()));
      state.not_before = std::max(state.not_before, now.monotonic + wait);
      return wait;
    }
    case AnswerClass::kSetup: {
      ++target.setup_failures;
      const Duration wait = again_in(
          FullJitter(target.setup_failures, rules_.setup_backoff, random01_()));
      target.held_until = std::max(target.held_until, now.monotonic + wait);
      return wait;
    }
    case AnswerClass::kOversized:
    case AnswerClass::kInvalid:
      // Heap is there and answers: what it refuses is the content.
      state.failures = 0;
      Split(attempt, verdict, answer, now, change);
      return std::nullopt;
  }
  return std::nullopt;
}

void Dispatcher::Split(UnderWay& attempt, const Verdict& verdict,
                       const HeapAnswer& answer, Now now, SpoolChange& change) {
  constexpr size_t kLongestAnswer = 2'048;
  LaneState& state = StateOf(attempt.lane);
  const Batch& batch = attempt.batch;
  const size_t count = batch.items.size();
  if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
  std::optional<size_t> culprit = verdict.named_item;
  if (count == 1) culprit = 0;
  const auto give_back = [&](size_t begin, size_t end) {
    BatchPlan plan = batch.PlanOf(begin, end);
    // A different body is a different batch.
    plan.id = 0;
    plan.stored_as = 0;
    plan.part = true;
    if (plan.empty()) return;
    StorePlan(attempt.lane, plan, now, change);
    state.lane.Return(std::move(plan));
  };
  if (!culprit.has_value()) {
    give_back(count / 2, count);
    give_back(0, count / 2);
    return;
  }
  const auto* http = std::get_if<HttpAnswer>(&answer.result);
  DeadLetter letter{.reason = verdict.answer_class == AnswerClass::kOversized
                                  ? DeadLetterReason::kTooLarge
                                  : DeadLetterReason::kRefused,
                    .dead_at = now.wall,
                    .http_status = StatusOf(answer),
                    .heap_answer = http == nullptr
                                       ? ""
                                       : http->body.substr(0, kLongestAnswer),
                    .text = {}};
  const absl::Status buried =
      state.lane.Bury(batch.items[*culprit], std::move(letter), change);
  if (!buried.ok()) {
    state.not_before =
        std::max(state.not_before, now.monotonic + kStorageRetry);
    return give_back(0, count);
  }
  BatchPlan rest{
      .id = 0, .tries = batch.tries, .part = true, .main = {}, .aside = {}};
  for (size_t i = 0; i < count; ++i) {
    if (i != *culprit) rest.Add(batch.items[i]);
  }
  if (rest.empty()) return;
  StorePlan(attempt.lane, rest, now, change);
  state.lane.Return(std::move(rest));
}

void Dispatcher::Prune(LaneState& state, Now now, SpoolChange& change) {
  if (now.monotonic >= state.next_forgetting) {
    state.next_forgetting = now.monotonic + kForgettingInterval;
    // What cannot be read stays, and is not worth stopping deliveries for.
    static_cast<void>(
        state.lane.ForgetForwardings(now.wall - rules_.merges_kept, change));
  }
  while (!usage_records_.empty() &&
         usage_records_.front().first <= now.monotonic) {
    change.DeleteUsage(usage_records_.front().second);
    usage_records_.pop_front();
  }
  if (attempts_kept_ <= rules_.most_attempts_kept) return;
  int forgotten = 0;
  const absl::Status status = spool_.VisitAttempts(
      oldest_kept_, [&](AttemptId id, const AttemptRecord& record) {
        oldest_kept_ = id;
        if (forgotten == kPruneStep) return false;
        change.DeleteAttempt(id, record);
        ++forgotten;
        return true;
      });
  // A record that cannot be read is not worth stopping deliveries for; it
  // stays.
  if (status.ok()) attempts_kept_ -= forgotten;
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
  Apply(std::move(change), {});
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
      lane.Hurry();
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
