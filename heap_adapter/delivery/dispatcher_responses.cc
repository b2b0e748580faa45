// What an answer of Heap leads to.

#include <algorithm>
#include <utility>

#include "heap_adapter/delivery/dispatcher.h"

namespace heapsync {
namespace {

constexpr Duration kForgettingInterval = std::chrono::seconds(1);
// How long receipts say into which other item a delivered one was merged. Each
// costs some 30 bytes.
constexpr Duration kForwardingsKept = std::chrono::hours(24);
// Each throttled answer halves the rate; each delivered batch gives back this.
constexpr double kLowestFactor = 1.0 / 64;
constexpr double kRecovery = 0.01;

// The request certainly never reached Heap.
bool NeverSent(const HeapResponse& answer) {
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

uint32_t StatusOf(const HeapResponse& answer) {
  const auto* http = std::get_if<HttpResponse>(&answer.result);
  return http == nullptr ? 0 : static_cast<uint32_t>(http->status);
}

}  // namespace

void Dispatcher::OnResponses(const std::vector<HeapResponse>& answers,
                             Now now) {
  for (const HeapResponse& answer : answers) OnResponse(answer, now);
}

void Dispatcher::OnResponse(const HeapResponse& answer, Now now) {
  const auto it = in_flight_.find(answer.request_id);
  InFlight attempt = std::move(it->second);
  in_flight_.erase(it);
  const AttemptId id = answer.request_id;
  LaneState& state = StateOf(attempt.lane);
  Target& target = TargetOf(state);

  region_slots_.GiveBack(attempt.region);
  --target.in_flight;
  --state.in_flight;
  if (attempt.probe) target.probing = false;
  const Verdict verdict = Classify(answer, state.lane.key().type,
                                   attempt.batch.items.size(), now.wall);
  SpoolChange change;
  EndAttempt(attempt, verdict, answer, id, now, change);
  const std::optional<Duration> next_try =
      Judge(attempt, verdict, answer, now, change);
  Prune(state, now, change);
  UpdateBacklog(target, now);
  const bool awaited = state.lane.TakeDeferredEnded();
  if (awaited) ++state.awaiting;
  committer_.Apply(std::move(change),
                   [this, lane = attempt.lane, awaited,
                    finished = state.lane.waiters().TakeFinished()]() mutable {
                     OnStored(lane, awaited, std::move(finished));
                   });

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
  if (const auto waiting = region_slots_.Offer(attempt.region);
      waiting.has_value()) {
    ready_.push_front(*waiting);
  }
  EnqueueLanesOf(target);
}

void Dispatcher::EndAttempt(InFlight& attempt, const Verdict& verdict,
                            const HeapResponse& answer, AttemptId id, Now now,
                            SpoolChange& change) {
  LaneState& state = StateOf(attempt.lane);
  UsageLedger* ledger = TargetOf(state).LedgerOf(state.lane.key().type);
  if (ledger != nullptr) {
    if (NeverSent(answer)) {
      ledger->Refund(id);
      change.DeleteUsage(id);
    } else {
      ledger->End(id, now.monotonic);
      history_.EndUsage(id, now.monotonic);
    }
  }
  AttemptRecord record{
      .lane = attempt.lane,
      .batch_id = attempt.batch.id,
      .started_at = attempt.started.wall,
      .ended_at = now.wall,
      .ended = now.monotonic,
      .epoch = epoch_,
      .response_class = verdict.response_class,
      .http_status = StatusOf(answer),
      .summary = verdict.summary,
      .items = static_cast<uint32_t>(attempt.batch.items.size()),
      .seqs = attempt.batch.Seqs(),
      .merged = {}};
  for (const BatchItem& item : attempt.batch.items) {
    for (const Seq seq : item.merged) record.merged.emplace_back(seq, item.seq);
  }
  history_.Add(id, record, change);
}

std::optional<Duration> Dispatcher::Judge(InFlight& attempt,
                                          const Verdict& verdict,
                                          const HeapResponse& answer, Now now,
                                          SpoolChange& change) {
  LaneState& state = StateOf(attempt.lane);
  Target& target = TargetOf(state);
  const Batch& batch = attempt.batch;
  if (verdict.response_class != ResponseClass::kDelivered) {
    target.last_error = verdict.summary;
    target.last_error_at = now.wall;
  }
  if (verdict.response_class != ResponseClass::kMisconfigured)
    target.misconfigured_failures = 0;

  const auto again_in = [&](Duration backoff) {
    const Duration wait = verdict.retry_after.value_or(backoff);
    state.lane.Return(batch.PlanOf(0, batch.items.size()));
    return wait;
  };
  switch (verdict.response_class) {
    case ResponseClass::kDelivered: {
      state.failures = 0;
      target.concurrency.OnSuccess(now.monotonic - attempt.started.monotonic);
      for (const ObjectType type : kObjectTypes) {
        UsageLedger* ledger = target.LedgerOf(type);
        if (ledger == nullptr) continue;
        ledger->Slow(std::min(1.0, ledger->factor() + kRecovery));
      }
      const uint64_t before = state.lane.counts().delivered;
      state.lane.Deliver(batch, change);
      if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
      state.delivered.Add(state.lane.counts().delivered - before,
                          now.monotonic);
      return std::nullopt;
    }
    case ResponseClass::kThrottled:
      if (UsageLedger* ledger = target.LedgerOf(state.lane.key().type);
          ledger != nullptr) {
        ledger->Slow(std::max(kLowestFactor, ledger->factor() / 2));
      }
      [[fallthrough]];
    case ResponseClass::kTransient: {
      ++state.failures;
      target.concurrency.OnTrouble();
      const Duration wait =
          again_in(FullJitter(state.failures, rules_.backoff, random01_()));
      state.not_before = std::max(state.not_before, now.monotonic + wait);
      return wait;
    }
    case ResponseClass::kMisconfigured: {
      ++target.misconfigured_failures;
      const Duration wait =
          again_in(FullJitter(target.misconfigured_failures,
                              rules_.misconfigured_backoff, random01_()));
      target.held_until = std::max(target.held_until, now.monotonic + wait);
      return wait;
    }
    case ResponseClass::kOversized:
    case ResponseClass::kInvalid:
      // Heap is there and answers: what it refuses is the content.
      state.failures = 0;
      Split(attempt, verdict, answer, now, change);
      return std::nullopt;
  }
  return std::nullopt;
}

void Dispatcher::Split(InFlight& attempt, const Verdict& verdict,
                       const HeapResponse& answer, Now now,
                       SpoolChange& change) {
  constexpr size_t kMaxAnswer = 2'048;
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
  const auto* http = std::get_if<HttpResponse>(&answer.result);
  DeadLetter letter{
      .reason = verdict.response_class == ResponseClass::kOversized
                    ? DeadLetterReason::kTooLarge
                    : DeadLetterReason::kRefused,
      .dead_lettered_at = now.wall,
      .http_status = StatusOf(answer),
      .heap_response = http == nullptr ? "" : http->body.substr(0, kMaxAnswer),
      .text = {}};
  const absl::Status dead_lettered = state.lane.MoveToDeadLetters(
      batch.items[*culprit], std::move(letter), change);
  if (!dead_lettered.ok()) {
    state.not_before =
        std::max(state.not_before, now.monotonic + kStorageRetry);
    return give_back(0, count);
  }
  BatchPlan rest{
      .id = 0, .tries = batch.tries, .part = true, .main = {}, .deferred = {}};
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
        state.lane.ForgetForwardings(now.wall - kForwardingsKept, change));
  }
  history_.Prune(now.monotonic, change);
}

}  // namespace heapsync
