#include "heap_adapter/delivery/response_handler.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/check.h"

namespace heapsync {
namespace {

constexpr Duration kForgettingInterval = std::chrono::seconds(1);
// Receipts name the item that a delivered one was coalesced into for this
// long. Each forwarding costs some 30 bytes.
constexpr Duration kForwardingsKept = std::chrono::hours(24);
// After the spool could not be read.
constexpr Duration kStorageRetry = std::chrono::seconds(1);
// Nothing of a type has to get through for this long before its items may
// expire. Longer: an outage that begins once they are old, after a pause or a
// step of the clock, costs none of them.
constexpr Duration kFailingBeforeExpiry = std::chrono::minutes(10);
// Refusals in a row, as by a wrong set-up, after which other items are tried
// soon. More: what a firewall refuses is found sooner, but where all is refused
// there are more requests.
constexpr int kRefusalsTriedSoon = 2;
// Bytes of Heap's response that a dead letter keeps.
constexpr size_t kMaxResponseText = 2'048;

// True if the request certainly never reached Heap.
bool NeverSent(const HeapResponse& response) {
  const auto* failure = std::get_if<TransportFailure>(&response.result);
  if (failure == nullptr) return false;
  switch (failure->kind) {
    case TransportFailure::Kind::kDns:
    case TransportFailure::Kind::kConnect:
    case TransportFailure::Kind::kProxyRefused:
    case TransportFailure::Kind::kTls:
    case TransportFailure::Kind::kTlsVerification:
      return true;
    default:
      return false;
  }
}

Suspicion::Failure FailureOf(const HeapResponse& response,
                             const Verdict& verdict, Duration heeded) {
  if (NeverSent(response)) return Suspicion::Failure::kNotSent;
  if (verdict.retry_after.value_or(heeded) > heeded) {
    return Suspicion::Failure::kAsksToWaitLong;
  }
  const auto* failure = std::get_if<TransportFailure>(&response.result);
  return failure != nullptr && failure->kind == TransportFailure::Kind::kTimeout
             ? Suspicion::Failure::kTimeout
             : Suspicion::Failure::kOther;
}

// Half of `wait`, and a random part of the other half.
Duration Jittered(Duration wait, double random01) {
  return wait / 2 + std::chrono::duration_cast<Duration>(wait / 2 * random01);
}

// The throttled lane waits as long as Heap asks. Gives that wait; zero for
// none.
Duration Heed(const Verdict& verdict, QueuedLane& lane, Now now) {
  const Duration asked = verdict.retry_after.value_or(Duration(0));
  lane.heap_wants_until =
      std::max(lane.heap_wants_until, now.monotonic + asked);
  return asked;
}

uint32_t StatusOf(const HeapResponse& response) {
  const auto* http = std::get_if<HttpResponse>(&response.result);
  return http == nullptr ? 0 : static_cast<uint32_t>(http->status);
}

}  // namespace

std::optional<Duration> ResponseHandler::Handle(const Attempt& attempt,
                                                const Verdict& verdict,
                                                const HeapResponse& response,
                                                Now now, SpoolChange& change) {
  Record(attempt, verdict, response, now, change);
  const std::optional<Duration> next_try =
      Decide(attempt, verdict, response, now, change);
  Prune(*attempt.lane, now, change);
  return next_try;
}

void ResponseHandler::Record(const Attempt& attempt, const Verdict& verdict,
                             const HeapResponse& response, Now now,
                             SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  UsageLedger* ledger = lane.queue.LedgerOf(lane.type());
  if (ledger != nullptr) {
    if (NeverSent(response)) {
      ledger->Refund(attempt.id);
      change.DeleteUsage(attempt.id);
    } else {
      ledger->End(attempt.id, now.monotonic);
      history_.EndUsage(attempt.id, now.monotonic);
    }
  }
  AttemptRecord record{
      .lane = lane.id(),
      .batch_id = attempt.batch.id,
      .started_at = attempt.started.wall,
      .ended_at = now.wall,
      .ended = now.monotonic,
      .epoch = epoch_,
      .response_class = verdict.response_class,
      .http_status = StatusOf(response),
      .summary = verdict.summary,
      .items = static_cast<uint32_t>(attempt.batch.items.size()),
      .seqs = attempt.batch.Seqs(),
      .coalesced = {}};
  for (const BatchItem& item : attempt.batch.items) {
    for (const Seq seq : item.coalesced)
      record.coalesced.emplace_back(seq, item.seq);
  }
  history_.Add(attempt.id, record, change);
}

std::optional<Duration> ResponseHandler::Decide(const Attempt& attempt,
                                                const Verdict& verdict,
                                                const HeapResponse& response,
                                                Now now, SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  DestinationQueue& queue = lane.queue;
  if (verdict.response_class != ResponseClass::kDelivered) {
    queue.SetLastError(verdict.summary, verdict.origin, now.wall);
  }
  const bool refused = verdict.response_class == ResponseClass::kInvalid &&
                       queue.SuspicionOf(lane.type()).refuses_all();
  if (verdict.response_class != ResponseClass::kMisconfigured && !refused) {
    queue.OnReached(lane.type());
  }
  switch (verdict.response_class) {
    case ResponseClass::kDelivered: {
      queue.OnDelivered(lane, now.monotonic - attempt.started.monotonic);
      const uint64_t before = lane.lane.counts().delivered;
      lane.lane.Deliver(attempt.batch, change);
      lane.delivered.Add(lane.lane.counts().delivered - before, now.monotonic);
      return std::nullopt;
    }
    case ResponseClass::kThrottled:
      return OnThrottled(attempt, verdict, now, change);
    case ResponseClass::kTransient:
      return OnTransient(attempt, verdict, response, now, change);
    case ResponseClass::kMisconfigured:
      return OnWrongSetUp(attempt, verdict, response, now, change);
    case ResponseClass::kOversized:
    case ResponseClass::kInvalid:
      queue.OnRefused(lane);
      Split(attempt, verdict, response, now, change);
      return std::nullopt;
  }
  HEAPSYNC_UNREACHABLE();
}

// A 429 is mostly meant for all requests. But one text or identity may be
// throttled alone, by a firewall on the way or because others send for it, too:
// a batch that is throttled again and again is tried in parts.
Duration ResponseHandler::OnThrottled(const Attempt& attempt,
                                      const Verdict& verdict, Now now,
                                      SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  const Batch& batch = attempt.batch;
  lane.queue.OnThrottled(lane.type());
  Suspicion& suspicion = lane.queue.SuspicionOf(lane.type());
  BatchPlan plan = FailedPlan(attempt, now);
  ++plan.failures;
  const Suspicion::Judgement judgement =
      suspicion.OnFailure(Suspicion::Failure::kThrottled,
                          {.standing = batch.standing,
                           .items = batch.items.size(),
                           .failures = plan.failures,
                           .deliveries = batch.deliveries,
                           .suspected = lane.lane.suspected_plans()});
  if (batch.standing == Standing::kTrusted) {
    plan.deliveries = suspicion.deliveries();
  }
  Duration wait(0);
  if (!judgement.content) {
    wait = FullJitter(++lane.failures, rules_.backoff, random01_());
    lane.not_before = std::max(lane.not_before, now.monotonic + wait);
    wait = std::max(wait, Heed(verdict, lane, now));
  }
  return Take(attempt, judgement.step, std::move(plan), verdict, wait, now,
              change);
}

Duration ResponseHandler::OnTransient(const Attempt& attempt,
                                      const Verdict& verdict,
                                      const HeapResponse& response, Now now,
                                      SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  const Batch& batch = attempt.batch;
  Suspicion& suspicion = lane.queue.SuspicionOf(lane.type());
  if (SaysNothing(attempt)) {
    return Take(attempt,
                batch.standing == Standing::kTrusted
                    ? Suspicion::Step::kRetry
                    : Suspicion::Step::kTryLater,
                FailedPlan(attempt, now), verdict, Duration(0), now, change);
  }
  const Suspicion::Failure failure =
      FailureOf(response, verdict, rules_.heeded_backoff.initial);
  BatchPlan plan = FailedPlan(attempt, now);
  if (failure != Suspicion::Failure::kNotSent) ++plan.failures;
  const Suspicion::Judgement judgement =
      suspicion.OnFailure(failure, {.standing = batch.standing,
                                    .items = batch.items.size(),
                                    .failures = plan.failures,
                                    .deliveries = batch.deliveries,
                                    .suspected = lane.lane.suspected_plans(),
                                    .in_silence = attempt.silence.has_value()});
  if (batch.standing == Standing::kTrusted) {
    plan.deliveries = suspicion.deliveries();
  }
  Duration wait(0);
  if (!judgement.content) {
    wait = BackOff(attempt, verdict, now);
  }
  return Take(attempt, judgement.step, std::move(plan), verdict, wait, now,
              change);
}

// The set-up may be wrong, or a firewall on the way may refuse one text.
Duration ResponseHandler::OnWrongSetUp(const Attempt& attempt,
                                       const Verdict& verdict,
                                       const HeapResponse& response, Now now,
                                       SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  DestinationQueue& queue = lane.queue;
  const Batch& batch = attempt.batch;
  Suspicion& suspicion = queue.SuspicionOf(lane.type());
  BatchPlan plan = FailedPlan(attempt, now);
  Suspicion::Judgement judgement{.step = Suspicion::Step::kRetry};
  if (!NeverSent(response)) {
    ++plan.failures;
    const bool others_wait =
        lane.lane.queued_items() - lane.lane.isolated_items() >
        batch.items.size();
    judgement =
        suspicion.OnWrongSetUp({.standing = batch.standing,
                                .items = batch.items.size(),
                                .failures = plan.failures,
                                .deliveries = batch.deliveries,
                                .suspected = lane.lane.suspected_plans()},
                               others_wait);
  }
  if (batch.standing == Standing::kTrusted) {
    plan.deliveries = suspicion.deliveries();
  }
  // Parts that were in flight together say no more than one of them.
  const bool known = batch.standing == Standing::kSuspected &&
                     attempt.started.monotonic <= lane.refused_at;
  lane.refused_at = now.monotonic;
  Duration wait(0);
  if (!judgement.content && !known) {
    const int refusals = queue.OnMisconfigured(lane.type());
    if (judgement.step != Suspicion::Step::kRetry &&
        refusals <= kRefusalsTriedSoon) {
      wait = std::max(Jittered(rules_.probe_interval, random01_()),
                      Heeded(verdict, refusals));
      lane.suspected_not_before = now.monotonic + wait;
      lane.not_before = std::max(lane.not_before, now.monotonic + wait);
    } else {
      const int before = std::min(refusals - 1, kRefusalsTriedSoon);
      wait = std::max(FullJitter(refusals - before,
                                 rules_.misconfigured_backoff, random01_()),
                      Heeded(verdict, refusals));
      queue.HoldUntil(lane.type(), now.monotonic + wait);
    }
  }
  return Take(attempt, judgement.step, std::move(plan), verdict, wait, now,
              change);
}

// Does with the failed batch what was decided. Gives the time until it is tried
// again, which is `wait` unless it waits alone.
Duration ResponseHandler::Take(const Attempt& attempt, Suspicion::Step step,
                               BatchPlan plan, const Verdict& verdict,
                               Duration wait, Now now, SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  const Batch& batch = attempt.batch;
  switch (step) {
    case Suspicion::Step::kRetry:
      // It stays together while it may become suspected: what its identities'
      // limits hold back waits, instead of failing in one batch after another.
      plan.part = plan.part || plan.failures > 0;
      lane.lane.Return(std::move(plan));
      break;
    case Suspicion::Step::kTryLater:
      plan.part = true;
      plan.standing = Standing::kSuspected;
      lane.lane.TryLater(std::move(plan));
      break;
    case Suspicion::Step::kDivide:
      Divide(attempt, Lane::Place::kLast, now, change);
      break;
    case Suspicion::Step::kDivideNow:
      Divide(attempt, Lane::Place::kFirst, now, change);
      break;
    case Suspicion::Step::kIsolate: {
      wait = WaitAlone(1, verdict);
      const absl::Status isolated =
          lane.lane.Isolate(batch, now.wall, now.monotonic + wait, change);
      if (isolated.ok()) {
        // It was the cause, and Heap is up.
        lane.failures = lane.suspected_failures = 0;
        break;
      }
      wait = kStorageRetry;
      lane.suspected_not_before = now.monotonic + wait;
      lane.lane.TryLater(std::move(plan));
      break;
    }
    case Suspicion::Step::kWaitAlone:
      wait = WaitAlone(plan.failures, verdict);
      lane.lane.WaitAlone(std::move(plan), now.monotonic + wait, change);
      break;
  }
  return wait;
}

// True if it hung while Heap was away, and others got through since: its
// failure is that of the outage.
bool ResponseHandler::SaysNothing(const Attempt& attempt) const {
  if (attempt.batch.standing == Standing::kIsolated) return false;
  return attempt.given_up ||
         (attempt.silence.has_value() &&
          regions_.Ended(attempt.endpoint(), *attempt.silence));
}

// The plan of a batch that was not delivered.
BatchPlan ResponseHandler::FailedPlan(const Attempt& attempt, Now now) {
  BatchPlan plan = attempt.batch.PlanOf(0, attempt.batch.items.size());
  plan.expires_before = ExpiresBefore(attempt, now);
  return plan;
}

// The wall clock alone decides nothing: an item expires only if the attempt
// that failed was made past its age. In a batch it may have failed for its
// neighbours, so nothing may have got through for a while by the other clock.
std::optional<WallTime> ResponseHandler::ExpiresBefore(const Attempt& attempt,
                                                       Now now) {
  if (attempt.batch.standing != Standing::kIsolated) {
    const Duration failing =
        attempt.lane->queue.OnFailing(attempt.lane->type(), now.monotonic);
    if (failing < std::min(kFailingBeforeExpiry, rules_.max_age)) {
      return std::nullopt;
    }
  }
  return attempt.started.wall - rules_.max_age;
}

// Time for which a Retry-After is heeded before something else is tried; grows
// with the `failures` in a row. It may be said of one item only. It lengthens
// the backoff, and never shortens it.
Duration ResponseHandler::Heeded(const Verdict& verdict, int failures) const {
  return std::min(verdict.retry_after.value_or(Duration(0)),
                  FullJitter(failures, rules_.heeded_backoff, 1.0));
}

// The wait that an outage demands, which the failure may belong to.
Duration ResponseHandler::BackOff(const Attempt& attempt,
                                  const Verdict& verdict, Now now) {
  QueuedLane& lane = *attempt.lane;
  const Duration probe = Jittered(rules_.probe_interval, random01_());
  const Endpoint endpoint = attempt.endpoint();
  // The end of a request that hung says nothing new: others have probed since.
  const MonotonicTime failed_at = attempt.role == RequestRole::kHanging
                                      ? attempt.started.monotonic
                                      : now.monotonic;
  regions_.OnFailure(endpoint, &lane.queue, attempt.batch.id,
                     failed_at + probe);
  lane.queue.OnOutage(attempt.role);
  const bool trusted = attempt.batch.standing == Standing::kTrusted;
  // A suspected plan that fails does not hold up a lane that gets through.
  if (trusted || lane.failures > 0) ++lane.failures;
  if (!trusted) ++lane.suspected_failures;
  const int failures = trusted
                           ? lane.failures
                           : std::max(lane.failures, lane.suspected_failures);
  Duration wait = FullJitter(failures, rules_.backoff, random01_());
  if (regions_.silent(endpoint)) wait = std::min(wait, probe);
  wait = std::max(wait, Heeded(verdict, failures));
  const MonotonicTime until = now.monotonic + wait;
  if (lane.failures > 0) lane.not_before = std::max(lane.not_before, until);
  if (!trusted) {
    lane.suspected_not_before = std::max(lane.suspected_not_before, until);
  }
  return wait;
}

// A Retry-After concerns the isolated item alone.
Duration ResponseHandler::WaitAlone(int failures, const Verdict& verdict) {
  const Duration max = FullJitter(failures, rules_.isolated_backoff, 1.0);
  return std::max(Jittered(max, random01_()),
                  verdict.retry_after.value_or(Duration(0)));
}

// The items are tried in parts, each in a request of its own.
void ResponseHandler::Divide(const Attempt& attempt, Lane::Place place, Now now,
                             SpoolChange& change) {
  QueuedLane& lane = *attempt.lane;
  const Batch& batch = attempt.batch;
  const size_t count = batch.items.size();
  const size_t size = PartSize(count);
  const std::optional<WallTime> expires_before = ExpiresBefore(attempt, now);
  if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
  for (size_t begin = 0; begin < count; begin += size) {
    BatchPlan part = batch.PlanOf(begin, std::min(begin + size, count));
    // A different body is a different batch.
    part.id = 0;
    part.stored_as = 0;
    part.part = true;
    part.standing = Standing::kSuspected;
    part.failures = 0;
    part.expires_before = expires_before;
    part.deliveries = lane.queue.SuspicionOf(lane.type()).deliveries();
    lane.lane.ReturnPart(std::move(part), history_.NextId(now.wall), place,
                         change);
  }
}

// Judges the refusal of a single item that Heap does not name. True if the item
// is kept: it is tried later.
bool ResponseHandler::IsSpared(const Attempt& attempt, Now now) {
  QueuedLane& lane = *attempt.lane;
  DestinationQueue& queue = lane.queue;
  const Batch& batch = attempt.batch;
  Suspicion& suspicion = queue.SuspicionOf(lane.type());
  // Others got through while it failed.
  if (batch.standing == Standing::kIsolated) return false;
  BatchPlan plan = FailedPlan(attempt, now);
  // It is no part of a batch: the search begins here.
  if (!batch.part) plan.deliveries = suspicion.deliveries();
  const Suspicion::Refusal refusal =
      suspicion.OnRefused(++plan.failures, plan.deliveries);
  if (refusal == Suspicion::Refusal::kDeadLetter) return false;
  plan.part = true;
  plan.standing = Standing::kSuspected;
  lane.lane.TryLater(std::move(plan));
  const Duration wait =
      FullJitter(++lane.suspected_failures, rules_.backoff, random01_());
  lane.suspected_not_before = now.monotonic + wait;
  if (refusal == Suspicion::Refusal::kHold) {
    const int refusals_of_all = queue.OnMisconfigured(lane.type());
    queue.HoldUntil(
        lane.type(),
        now.monotonic + FullJitter(refusals_of_all,
                                   rules_.misconfigured_backoff, random01_()));
  }
  return true;
}

// Dead-letters the item that was refused, if it is known; otherwise the halves
// of the batch are sent apart.
void ResponseHandler::Split(const Attempt& attempt, const Verdict& verdict,
                            const HeapResponse& response, Now now,
                            SpoolChange& change) {
  Lane& lane = attempt.lane->lane;
  const Batch& batch = attempt.batch;
  const size_t count = batch.items.size();
  const bool unnamed = verdict.response_class == ResponseClass::kInvalid &&
                       !verdict.named_item.has_value();
  if (count == 1 && unnamed && IsSpared(attempt, now)) return;
  if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
  const Suspicion& suspicion =
      attempt.lane->queue.SuspicionOf(attempt.lane->type());
  const auto return_part = [&](BatchPlan part) {
    if (part.empty()) return;
    // A different body is a different batch.
    part.id = 0;
    part.stored_as = 0;
    part.part = true;
    part.failures = 0;
    if (!batch.part) part.deliveries = suspicion.deliveries();
    lane.ReturnPart(std::move(part), history_.NextId(now.wall),
                    Lane::Place::kLast, change);
  };
  std::optional<size_t> culprit = verdict.named_item;
  if (count == 1) culprit = 0;
  if (!culprit.has_value()) {
    return_part(batch.PlanOf(count / 2, count));
    return_part(batch.PlanOf(0, count / 2));
    return;
  }
  const auto* http = std::get_if<HttpResponse>(&response.result);
  DeadLetter letter{
      .reason = verdict.response_class == ResponseClass::kOversized
                    ? DeadLetterReason::kTooLarge
                    : DeadLetterReason::kRefused,
      .dead_lettered_at = now.wall,
      .http_status = StatusOf(response),
      .heap_response =
          http == nullptr ? "" : http->body.substr(0, kMaxResponseText),
      .text = {}};
  const absl::Status moved =
      lane.MoveToDeadLetters(batch.items[*culprit], std::move(letter), change);
  if (!moved.ok()) {
    MonotonicTime& not_before = attempt.lane->not_before;
    not_before = std::max(not_before, now.monotonic + kStorageRetry);
    return return_part(batch.PlanOf(0, count));
  }
  BatchPlan rest{.tries = batch.tries, .main = {}, .deferred = {}};
  for (size_t i = 0; i < count; ++i) {
    if (i != *culprit) rest.Add(batch.items[i]);
  }
  return_part(std::move(rest));
}

void ResponseHandler::Prune(QueuedLane& lane, Now now, SpoolChange& change) {
  if (now.monotonic >= lane.next_forgetting) {
    lane.next_forgetting = now.monotonic + kForgettingInterval;
    // Forwardings that cannot be read remain, and are not worth stopping
    // deliveries for.
    static_cast<void>(
        lane.lane.ForgetForwardings(now.wall - kForwardingsKept, change));
  }
  history_.Prune(now.monotonic, change);
}

}  // namespace heapsync
