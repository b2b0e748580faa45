#include "heap_adapter/delivery/response_handler.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "heap_adapter/base/check.h"

namespace heapsync {
namespace {

constexpr Duration kForgettingInterval = std::chrono::seconds(1);
// Receipts name the item that a delivered one was coalesced into for this
// long. Each forwarding costs some 30 bytes.
constexpr Duration kForwardingsKept = std::chrono::hours(24);
// After the spool could not be read.
constexpr Duration kStorageRetry = std::chrono::seconds(1);
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

// A Retry-After may lengthen the backoff, never shorten it.
Duration WaitOf(Duration backoff, const Verdict& verdict) {
  return std::max(backoff, verdict.retry_after.value_or(backoff));
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
      .merged = {}};
  for (const BatchItem& item : attempt.batch.items) {
    for (const Seq seq : item.merged) record.merged.emplace_back(seq, item.seq);
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
  if (verdict.response_class != ResponseClass::kMisconfigured) {
    queue.OnReached();
  }
  switch (verdict.response_class) {
    case ResponseClass::kDelivered: {
      lane.failures = 0;
      queue.OnDelivered(now.monotonic - attempt.started.monotonic);
      const uint64_t before = lane.lane.counts().delivered;
      lane.lane.Deliver(attempt.batch, change);
      lane.delivered.Add(lane.lane.counts().delivered - before, now.monotonic);
      return std::nullopt;
    }
    case ResponseClass::kThrottled:
      queue.OnThrottled(lane.type());
      [[fallthrough]];
    case ResponseClass::kTransient: {
      queue.OnTrouble();
      const Duration wait = WaitOf(
          FullJitter(++lane.failures, rules_.backoff, random01_()), verdict);
      lane.lane.Return(attempt.batch);
      lane.not_before = std::max(lane.not_before, now.monotonic + wait);
      return wait;
    }
    case ResponseClass::kMisconfigured: {
      const Duration wait =
          WaitOf(FullJitter(queue.OnMisconfigured(),
                            rules_.misconfigured_backoff, random01_()),
                 verdict);
      lane.lane.Return(attempt.batch);
      queue.HoldUntil(now.monotonic + wait);
      return wait;
    }
    case ResponseClass::kOversized:
    case ResponseClass::kInvalid:
      // Heap is there and responds: it refuses the content.
      lane.failures = 0;
      Isolate(attempt, verdict, response, now, change);
      return std::nullopt;
  }
  HEAPSYNC_UNREACHABLE();
}

// Dead-letters the item that was refused, if it is known; otherwise the halves
// of the batch are sent apart.
void ResponseHandler::Isolate(const Attempt& attempt, const Verdict& verdict,
                              const HeapResponse& response, Now now,
                              SpoolChange& change) {
  Lane& lane = attempt.lane->lane;
  const Batch& batch = attempt.batch;
  const size_t count = batch.items.size();
  if (batch.stored_as != 0) change.DeletePlan(batch.stored_as);
  const auto return_part = [&](BatchPlan part) {
    if (part.empty()) return;
    // A different body is a different batch.
    part.id = 0;
    part.stored_as = 0;
    part.part = true;
    lane.ReturnPart(std::move(part), history_.NextId(now.wall), change);
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
