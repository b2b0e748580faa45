#include "heap_adapter/delivery/destination_queue.h"

#include <algorithm>
#include <utility>

#include "heap_adapter/scheduling/drain_forecast.h"

namespace heapsync {
namespace {

constexpr int kMaxInFlightPerDestination = 8;
// Suspected plans in flight, besides the others.
constexpr int kMaxSuspectedInFlight = kMaxInFlightPerDestination / 2;
// Failures of suspected plans in a row that look like an outage.
constexpr int kSuspectedFailuresShown = 3;
// Failures in a row of any type, with nothing getting through, that stop all
// types but the one that probes.
constexpr int kFailuresOfSilence = 2;
constexpr Duration kForecastInterval = std::chrono::milliseconds(250);
constexpr size_t kMaxDeferredLookedAt = 16;
// A user ledger holds an entry for each user of each request in its window; its
// memory is bounded by letting a lane wait beyond this.
constexpr size_t kMaxLedgerEntries = 1 << 20;
// Each throttled response halves the rate; each delivered batch gives this
// back.
constexpr double kMinFactor = 1.0 / 64;
constexpr double kRecovery = 0.01;

uint32_t Share(uint32_t limit, double share) {
  if (limit == 0) return 0;
  return std::max<uint32_t>(
      1, static_cast<uint32_t>(static_cast<double>(limit) * share));
}

UsageLedger::Rules RulesOf(const Destination& destination,
                           const TypeLimit& limit) {
  const auto ours = [&](uint32_t HeapLimits::*member) -> uint32_t {
    if (member == nullptr) return 0;
    return Share(destination.limits.*member, destination.limit_share);
  };
  return {.window = limit.window,
          .total = ours(limit.total),
          .per_identity = ours(limit.per_identity)};
}

}  // namespace

DestinationQueue::DestinationQueue(const Destination& destination)
    : destination_(&destination), concurrency_(kMaxInFlightPerDestination) {
  for (const ObjectType type : kObjectTypes) {
    const TypeLimit& limit = PolicyOf(type).limit;
    if (limit.unit == LimitedUnit::kNothing) continue;
    Of(type).ledger.emplace(RulesOf(destination, limit));
  }
}

void DestinationQueue::SetDestination(const Destination& destination,
                                      MonotonicTime now) {
  destination_ = &destination;
  for (const ObjectType type : kObjectTypes) {
    UsageLedger* ledger = LedgerOf(type);
    if (ledger == nullptr) continue;
    const UsageLedger::Rules rules = RulesOf(destination, PolicyOf(type).limit);
    // The usage of identities was not counted while they had no limit.
    if (rules.per_identity > 0 && !ledger->limits_identities()) {
      held_until_ = std::max(held_until_, now + LongestLimitWindow());
    }
    ledger->SetLimits(rules);
  }
}

QueuedLane& DestinationQueue::AddLane(
    const Spool& spool, const StoredLane& stored,
    const std::vector<DeferredIdentity>& deferred) {
  QueuedLane& lane = *lanes_.emplace_back(
      std::make_unique<QueuedLane>(spool, stored, deferred, *this));
  OfType& of_type = Of(stored.key.type);
  of_type.lanes.push_back(&lane);
  of_type.shares.Add(stored.id);
  return lane;
}

UsageLedger* DestinationQueue::LedgerOf(ObjectType type) {
  std::optional<UsageLedger>& ledger = Of(type).ledger;
  return ledger.has_value() ? &*ledger : nullptr;
}

Lane::Trials DestinationQueue::TrialsOf(const QueuedLane& lane) const {
  constexpr MonotonicTime kUntilEvent = MonotonicTime::max();
  Lane::Trials trials{.suspected = lane.suspected_not_before};
  const bool probing_suspected =
      lane.suspected_failures > 0 && lane.suspected_in_flight > 0;
  if (suspected_in_flight_ >= kMaxSuspectedInFlight || probing_suspected) {
    trials.suspected = kUntilEvent;
  }
  // An outage says nothing about an isolated item, unless there is nothing else
  // that could notice its end.
  const bool failing = lane.failures > 0 || lane.suspected_failures > 0;
  if ((failing && !lane.lane.idle()) || isolated_in_flight_ > 0) {
    trials.isolated = kUntilEvent;
  }
  return trials;
}

std::optional<MonotonicTime> DestinationQueue::BlockedUntil(
    const QueuedLane& lane, MonotonicTime now) const {
  constexpr MonotonicTime kUntilEvent = MonotonicTime::max();
  if (paused_ || lane.awaited_changes > 0) return kUntilEvent;
  const OfType& of_type = types_[IndexOf(lane.type())];
  const MonotonicTime held_until = std::max(held_until_, of_type.held_until);
  if (held_until > now) return held_until;
  if (lane.heap_wants_until > now) return lane.heap_wants_until;
  if (lane.not_before > now) return lane.not_before;
  if (of_type.misconfigured_failures > 0 && of_type.in_flight > 0) {
    return kUntilEvent;
  }
  if (lane.failures > 0 && (Probing(lane.type()) || lane.in_flight > 0)) {
    return kUntilEvent;
  }
  // Trials and probes have slots of their own: some that hang leave the limit
  // to the rest.
  const int others =
      suspected_in_flight_ + isolated_in_flight_ + trusted_probes_ + hanging_;
  if (lane.failures == 0 && in_flight_ - others >= concurrency_.limit()) {
    return kUntilEvent;
  }
  return std::nullopt;
}

std::vector<QueuedLane*> DestinationQueue::ReleaseUsage(ObjectType type,
                                                        MonotonicTime now) {
  UsageLedger* ledger = LedgerOf(type);
  if (ledger == nullptr) return {};
  const std::vector<uint64_t> freed = ledger->Advance(now);
  if (freed.empty()) return {};
  std::vector<QueuedLane*> waiting;
  for (QueuedLane* each : Of(type).lanes) {
    if (!each->lane.waits_for_ledger()) continue;
    for (const uint64_t hash : freed) each->lane.OnFreed(hash);
    waiting.push_back(each);
  }
  return waiting;
}

DestinationQueue::Turn DestinationQueue::TurnOf(QueuedLane& candidate,
                                                Now now) {
  OfType& of_type = Of(candidate.type());
  UsageLedger* ledger = LedgerOf(candidate.type());
  const bool counts_items =
      PolicyOf(candidate.type()).limit.unit == LimitedUnit::kItems;
  Turn own{.lane = &candidate, .max_items = UsageLedger::kUnlimited};
  if (counts_items) {
    own.max_items = of_type.shares.Allowance(*ledger, candidate.id(), now);
  }
  candidate.limit_holds = own.max_items == 0;
  if (ledger != nullptr && ledger->entries() > kMaxLedgerEntries) {
    own.max_items = 0;
  }
  if (own.max_items == 0 || !counts_items || of_type.lanes.size() == 1) {
    return own;
  }
  QueuedLane* least = &candidate;
  uint64_t min_used = ledger->UsedBy(candidate.id());
  for (QueuedLane* each : of_type.lanes) {
    const auto ready = ReadyAt(*each);
    if (!ready.has_value() || *ready > now.monotonic) continue;
    if (BlockedUntil(*each, now.monotonic).has_value()) continue;
    const uint64_t used = ledger->UsedBy(each->id());
    if (used >= min_used) continue;
    least = each;
    min_used = used;
  }
  const uint32_t max_items =
      of_type.shares.Allowance(*ledger, least->id(), now);
  if (least == &candidate || max_items == 0) return own;
  return {.lane = least, .max_items = max_items};
}

std::optional<MonotonicTime> DestinationQueue::NextAllowance(
    const QueuedLane& lane, MonotonicTime now) {
  const UsageLedger* ledger = LedgerOf(lane.type());
  if (ledger == nullptr) return std::nullopt;
  std::optional<MonotonicTime> next = ledger->NextRelease();
  if (PolicyOf(lane.type()).limit.unit == LimitedUnit::kItems) {
    const MonotonicTime paced = Of(lane.type()).shares.next();
    if (paced > now) next = std::min(next.value_or(paced), paced);
  }
  return next;
}

void DestinationQueue::CountAwaited(QueuedLane& lane, Standing standing,
                                    RequestRole role, int change) {
  const bool probe = role == RequestRole::kProbe;
  if (probe) Of(lane.type()).probing = change > 0;
  switch (standing) {
    case Standing::kTrusted:
      lane.in_flight += change;
      if (probe) trusted_probes_ += change;
      break;
    case Standing::kSuspected:
      lane.suspected_in_flight += change;
      suspected_in_flight_ += change;
      break;
    case Standing::kIsolated:
      isolated_in_flight_ += change;
      break;
  }
}

// True if a request is in flight beside which no failing lane of the type may
// probe. The types have endpoints of their own: while anything gets through,
// one that hangs does not keep another from being probed.
bool DestinationQueue::Probing(ObjectType type) const {
  if (types_[IndexOf(type)].probing) return true;
  return outage_failures_ >= kFailuresOfSilence &&
         std::any_of(types_.begin(), types_.end(),
                     [](const OfType& each) { return each.probing; });
}

RequestRole DestinationQueue::Begin(QueuedLane& lane, Standing standing) {
  const RequestRole role =
      lane.failures > 0 ? RequestRole::kProbe : RequestRole::kUsual;
  ++in_flight_;
  ++Of(lane.type()).in_flight;
  CountAwaited(lane, standing, role, 1);
  return role;
}

void DestinationQueue::BeginHanging(QueuedLane& lane, Standing standing,
                                    RequestRole role,
                                    MonotonicTime next_probe) {
  if (standing == Standing::kIsolated) {
    // Still no other isolated item is tried beside it.
    if (role == RequestRole::kProbe) Of(lane.type()).probing = false;
    return;
  }
  CountAwaited(lane, standing, role, -1);
  ++hanging_;
  ++lane.hanging;
  if (lane.failures > 0) {
    lane.not_before = std::max(lane.not_before, next_probe);
  }
  lane.suspected_not_before = std::max(lane.suspected_not_before, next_probe);
}

void DestinationQueue::CountUsage(QueuedLane& lane, uint64_t used_before,
                                  MonotonicTime now) {
  const UsageLedger& ledger = *LedgerOf(lane.type());
  Of(lane.type())
      .shares.OnBegun(ledger, used_before, ledger.UsedBy(lane.id()), now);
}

void DestinationQueue::End(QueuedLane& lane, Standing standing,
                           RequestRole role) {
  --in_flight_;
  --Of(lane.type()).in_flight;
  if (role == RequestRole::kHanging && standing != Standing::kIsolated) {
    --hanging_;
    --lane.hanging;
  } else {
    CountAwaited(lane, standing, role, -1);
  }
}

void DestinationQueue::OnDelivered(QueuedLane& lane, Duration latency) {
  lane.failures = 0;
  lane.suspected_failures = 0;
  lane.suspected_not_before = MonotonicTime();
  SuspicionOf(lane.type()).OnDelivered();
  Of(lane.type()).failing_since.reset();
  outage_failures_ = 0;
  concurrency_.OnSuccess(latency);
  for (OfType& of_type : types_) {
    if (!of_type.ledger.has_value()) continue;
    of_type.ledger->Slow(std::min(1.0, of_type.ledger->factor() + kRecovery));
  }
}

void DestinationQueue::OnRefused(QueuedLane& lane) {
  lane.failures = 0;
  outage_failures_ = 0;
}

Duration DestinationQueue::OnFailing(ObjectType type, MonotonicTime now) {
  std::optional<MonotonicTime>& since = Of(type).failing_since;
  if (!since.has_value()) since = now;
  return now - *since;
}

void DestinationQueue::SetPaused(bool paused) {
  paused_ = paused;
  for (OfType& of_type : types_) of_type.failing_since.reset();
}

void DestinationQueue::OnThrottled(ObjectType type) {
  concurrency_.OnTrouble();
  if (PolicyOf(type).limit.unit != LimitedUnit::kItems) return;
  UsageLedger& ledger = *LedgerOf(type);
  ledger.Slow(std::max(kMinFactor, ledger.factor() / 2));
}

void DestinationQueue::OnOutage(RequestRole role) {
  ++outage_failures_;
  // That a lane still fails says nothing of the load that the others make.
  if (role == RequestRole::kUsual) concurrency_.OnTrouble();
}

void DestinationQueue::OnReached(ObjectType type) {
  if (std::exchange(Of(type).misconfigured_failures, 0) == 0) return;
  for (OfType& of_type : types_) of_type.held_until = MonotonicTime();
}

void DestinationQueue::EndWaits(ObjectType type) {
  for (QueuedLane* each : Of(type).lanes) {
    if (each->failures > 0) each->not_before = MonotonicTime();
    each->suspected_not_before = MonotonicTime();
  }
}

void DestinationQueue::HoldUntil(ObjectType type, MonotonicTime time) {
  MonotonicTime& held_until = Of(type).held_until;
  held_until = std::max(held_until, time);
}

void DestinationQueue::SetLastError(std::string error, ErrorOrigin origin,
                                    WallTime at) {
  last_error_ = std::move(error);
  last_error_origin_ = origin;
  last_error_at_ = at;
}

void DestinationQueue::UpdateBacklog(MonotonicTime now) {
  uint64_t bytes = 0;
  for (const auto& each : lanes_) bytes += each->lane.queued_bytes();
  backlog_->SetBytes(bytes);
  if (now < next_forecast_) return;
  next_forecast_ = now + kForecastInterval;
  backlog_->SetForecast(DrainedIn(now));
}

DestinationState DestinationQueue::State() const {
  if (paused_) return DestinationState::kPaused;
  const bool misconfigured = std::any_of(
      types_.begin(), types_.end(),
      [](const OfType& each) { return each.misconfigured_failures > 0; });
  if (misconfigured) return DestinationState::kNeedsAttention;
  const bool failing =
      std::any_of(lanes_.begin(), lanes_.end(), [](const auto& each) {
        return each->failures > 0 ||
               each->suspected_failures >= kSuspectedFailuresShown;
      });
  return failing ? DestinationState::kBackingOff : DestinationState::kActive;
}

bool DestinationQueue::HeldByLimit(const std::vector<QueuedLane*>& lanes) {
  return std::any_of(lanes.begin(), lanes.end(), [](const QueuedLane* each) {
    return each->limit_holds && each->lane.queued_items() > 0;
  });
}

std::optional<Duration> DestinationQueue::DrainedIn(MonotonicTime now) const {
  if (State() != DestinationState::kActive) return std::nullopt;
  Duration max = Duration::zero();
  for (const OfType& of_type : types_) {
    QueuedItems queued;
    for (const QueuedLane* each : of_type.lanes) {
      if (each->lane.queued_items() == 0) continue;
      queued.items += each->lane.queued_items();
      queued.deferred_items += each->lane.deferred_items();
      queued.delivered_per_second += each->delivered.PerSecond(now);
    }
    std::optional<LimitUse> limit;
    if (of_type.ledger.has_value() &&
        of_type.ledger->total_limit() != UsageLedger::kUnlimited) {
      limit = {.window = of_type.ledger->rules().window,
               .total = of_type.ledger->total_limit(),
               .used = of_type.ledger->InUse(now)};
      // An allowance that is free but not given out is paced like the rest.
      if (HeldByLimit(of_type.lanes)) limit->used = limit->total;
    }
    const std::optional<Duration> drained = TimeToDrain(queued, limit);
    if (!drained.has_value()) return std::nullopt;
    max = std::max(max, *drained);
  }
  return max;
}

DestinationFlow DestinationQueue::Flow(MonotonicTime now) const {
  DestinationFlow flow{.destination = destination_};
  for (const auto& each : lanes_) {
    flow.accepted += each->lane.counts().arrived();
    flow.delivered += each->lane.counts().delivered;
    flow.queued_items += each->lane.queued_items();
  }
  for (const ObjectType type : kObjectTypes) {
    if (PolicyOf(type).limit.unit != LimitedUnit::kItems) continue;
    const UsageLedger& ledger = *types_[IndexOf(type)].ledger;
    flow.allowance_used += ledger.InUse(now);
    if (ledger.total_limit() != UsageLedger::kUnlimited) {
      flow.allowance_total += ledger.total_limit();
    }
  }
  return flow;
}

DestinationSnapshot DestinationQueue::Snapshot(MonotonicTime now) const {
  const DestinationFlow flow = Flow(now);
  DestinationSnapshot snapshot{.name = destination_->name,
                               .region = destination_->region,
                               .masked_app_id = destination_->app_id.Masked(),
                               .state = State(),
                               .last_error = last_error_,
                               .last_error_origin = last_error_origin_,
                               .last_error_at = last_error_at_,
                               .refused_types = {},
                               .lanes = {},
                               .in_flight_requests = in_flight_,
                               .concurrency_limit = concurrency_.limit(),
                               .allowance_used = flow.allowance_used,
                               .allowance_total = flow.allowance_total,
                               .limit_holds_events = false,
                               .drained_in = DrainedIn(now)};
  for (const ObjectType type : kObjectTypes) {
    const OfType& of_type = types_[IndexOf(type)];
    if (of_type.misconfigured_failures > 0) {
      snapshot.refused_types.push_back(type);
    }
    snapshot.limit_holds_events |= HeldByLimit(of_type.lanes);
  }
  for (const auto& each : lanes_) {
    const Lane& lane = each->lane;
    snapshot.lanes.push_back(
        LaneSnapshot{.id = lane.id(),
                     .type = lane.key().type,
                     .caller = lane.key().caller,
                     .queued_items = lane.queued_items(),
                     .queued_bytes = lane.queued_bytes(),
                     .deferred_items = lane.deferred_items(),
                     .isolated_items = lane.isolated_items(),
                     .delivered_per_second = each->delivered.PerSecond(now),
                     .counts = lane.counts(),
                     .unsettled = {lane.first_unsettled(), lane.head()},
                     .some_deferred_identities =
                         lane.SomeDeferredIdentities(kMaxDeferredLookedAt)});
  }
  return snapshot;
}

}  // namespace heapsync
