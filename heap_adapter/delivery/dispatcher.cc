#include "heap_adapter/delivery/dispatcher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "heap_adapter/delivery/work.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

constexpr Duration kMaxSleep = std::chrono::seconds(60);
// After the spool could not be read, or the disk had no space.
constexpr Duration kStorageRetry = std::chrono::seconds(1);
// Appends whose trace is remembered; see RecentTraces.
constexpr size_t kMaxTraces = 1 << 16;

// True if the response shows that Heap is there, whatever it says of the items.
bool GetsThrough(ResponseClass response_class) {
  return response_class == ResponseClass::kDelivered ||
         response_class == ResponseClass::kOversized ||
         response_class == ResponseClass::kInvalid;
}

}  // namespace

Dispatcher::Dispatcher(Spool& spool, Committer& committer, Transport& transport,
                       const DeliveryRules& rules,
                       std::function<double()> random01, AttemptSink sink,
                       ExpirySink expired)
    : spool_(spool),
      committer_(committer),
      transport_(transport),
      rules_(rules),
      sink_(std::move(sink)),
      expired_(std::move(expired)),
      history_(spool, rules.max_attempts_kept),
      region_slots_(rules.max_in_flight_per_region),
      responses_(rules_, history_, region_slots_, std::move(random01)),
      in_flight_(rules_, region_slots_),
      traces_(kMaxTraces) {}

absl::Status Dispatcher::Start(const std::vector<Destination>& destinations,
                               const std::vector<StoredLane>& lanes, Now now,
                               uint64_t epoch) {
  epoch_ = epoch;
  responses_.SetEpoch(epoch);
  if (absl::Status s = history_.Recover(); !s.ok()) return s;
  std::vector<const Destination*> all;
  for (const Destination& destination : destinations) {
    all.push_back(&destination);
  }
  auto queues = ReadQueues(spool_, all, lanes,
                           now.monotonic + rules_.isolated_backoff.initial);
  if (!queues.ok()) return queues.status();
  auto usage = ReadUsage(spool_, now, epoch_);
  if (!usage.ok()) return usage.status();
  SpoolChange change;
  for (const StoredUsage& each : *usage) {
    history_.EndUsage(each.id, each.ended);
    if (each.changed) change.PutUsage(each.id, each.record);
  }
  if (!change.empty()) committer_.Apply(std::move(change), nullptr);
  Adopt(*std::move(queues), *std::move(usage), now);
  return absl::OkStatus();
}

absl::Status Dispatcher::SetDestinations(
    const std::vector<Destination>& destinations,
    const std::vector<StoredLane>& lanes, Now now) {
  std::vector<const Destination*> added;
  for (const Destination& destination : destinations) {
    if (queues_.Find(destination.name) != nullptr) continue;
    added.push_back(&destination);
  }
  DestinationQueues::Queues queues;
  std::vector<StoredUsage> usage;
  if (!added.empty()) {
    auto read_queues = ReadQueues(
        spool_, added, lanes, now.monotonic + rules_.isolated_backoff.initial);
    if (!read_queues.ok()) return read_queues.status();
    auto read_usage = ReadUsage(spool_, now, epoch_);
    if (!read_usage.ok()) return read_usage.status();
    queues = *std::move(read_queues);
    usage = *std::move(read_usage);
  }
  // Everything was read: nothing can fail from here on.
  for (const Destination& destination : destinations) {
    DestinationQueue* known = queues_.Find(destination.name);
    if (known == nullptr) continue;
    known->SetDestination(destination, now.monotonic);
    Enqueue(*known);
  }
  Adopt(std::move(queues), std::move(usage), now);
  return absl::OkStatus();
}

void Dispatcher::Adopt(DestinationQueues::Queues queues,
                       std::vector<StoredUsage> usage, Now now) {
  for (const auto& queue : queues) Enqueue(*queue);
  queues_.Adopt(std::move(queues), std::move(usage), now);
}

void Dispatcher::Enqueue(DestinationQueue& queue) {
  for (const auto& lane : queue.lanes()) schedule_.Enqueue(lane->schedule);
}

void Dispatcher::OnNotices(Committer::Notices notices, Now now) {
  for (AddedLane& added : notices.lanes) {
    DestinationQueue* queue = queues_.Find(added.key.destination);
    // Others add lanes to a shared spool: of destinations that are not
    // configured here, and ones that this has taken over from it.
    if (queue == nullptr || queues_.FindLane(added.id) != nullptr) continue;
    schedule_.Enqueue(
        queues_.AddLane(*queue, spool_, added.id, std::move(added.key))
            .schedule);
  }
  for (Appended& appended : notices.appended) {
    QueuedLane* const lane = queues_.FindLane(appended.lane);
    // The destination is not configured here.
    if (lane == nullptr) continue;
    if (appended.trace.has_value()) {
      traces_.Remember(lane->id(), appended.items, *appended.trace);
    }
    // Given back once the backlog counts the items.
    const Backlog::Reservation reservation = std::move(appended.reservation);
    lane->lane.OnAppended(std::move(appended), now.monotonic, rules_.overtaking,
                          overtaking_memory_);
    lane->queue.UpdateBacklog(now.monotonic);
    schedule_.Enqueue(lane->schedule);
  }
  for (auto& done : notices.applied) done();
}

Duration Dispatcher::Step(Now now) {
  BeginHanging(now.monotonic);
  schedule_.WakeDue(now.monotonic);
  // A lane that starts something goes to the end of the line.
  uint64_t work = 0;
  while (in_flight_.size() < static_cast<size_t>(rules_.max_in_flight)) {
    if (!schedule_.HasReady() && !OfferRegionSlot(now.monotonic)) break;
    if (work >= rules_.max_step_work) return kMoreToDo;
    work += Work::kPull + TryStart(queues_.LaneOf(schedule_.TakeReady()), now);
  }
  std::optional<MonotonicTime> wake = schedule_.NextWake();
  if (const auto probe = region_slots_.NextProbe(); probe.has_value()) {
    wake = std::min(wake.value_or(*probe), *probe);
  }
  const MonotonicTime hanging = in_flight_.next_overdue();
  wake = std::min(wake.value_or(hanging), hanging);
  if (*wake == MonotonicTime::max()) return kMaxSleep;
  return std::clamp<Duration>(*wake - now.monotonic, Duration(1), kMaxSleep);
}

// A lane that waits for its region may turn out to have nothing to send now;
// the slot is then offered to the next.
bool Dispatcher::OfferRegionSlot(MonotonicTime now) {
  for (const RegionRow& row : kRegions) {
    const std::optional<LaneId> lane = region_slots_.Offer(row.region, now);
    if (!lane.has_value()) continue;
    schedule_.Offer(queues_.LaneOf(*lane).schedule);
    return true;
  }
  return false;
}

void Dispatcher::BeginHanging(MonotonicTime now) {
  const RequestsInFlight::Overdue overdue = in_flight_.FindOverdue(now);
  for (const AttemptId id : overdue.given_up) transport_.GiveUp(id);
  for (Attempt* attempt : overdue.hanging) {
    DestinationQueue& queue = attempt->lane->queue;
    const MonotonicTime next_probe =
        attempt->started.monotonic + rules_.hanging_probe_interval;
    if (!in_flight_.Fails(*attempt)) {
      region_slots_.BeginStall(attempt->endpoint());
      in_flight_.LookAgain(now);  // those sent since may hang as well
    }
    attempt->silence = region_slots_.SilenceOf(attempt->endpoint());
    region_slots_.BeginHanging(attempt->endpoint(), next_probe);
    queue.BeginHanging(*attempt->lane, attempt->batch.standing, attempt->role,
                       next_probe);
    in_flight_.SetHanging(*attempt);
    Enqueue(queue);
  }
  for (const Attempt* attempt : overdue.hanging) {
    FreeForProbe(*attempt->lane, now);
  }
}

// An update that Heap takes late would undo a newer one, so that only events
// are given up.
void Dispatcher::FreeForProbe(const QueuedLane& lane, MonotonicTime now) {
  const Endpoint endpoint{.region = lane.queue.destination().region,
                          .type = lane.type()};
  if (PolicyOf(lane.type()).coalesces || !region_slots_.stalls(endpoint)) {
    return;
  }
  if (region_slots_.CanProbe(endpoint) &&
      in_flight_.ItemsOf(lane) < lane.lane.queued_items()) {
    return;
  }
  if (const auto id = in_flight_.GiveUpOldest(lane, now); id.has_value()) {
    transport_.GiveUp(*id);
  }
}

void Dispatcher::Wake(Endpoint endpoint) {
  for (const auto& queue : queues_.all()) {
    if (queue->destination().region != endpoint.region) continue;
    queue->EndWaits(endpoint.type);
    Enqueue(*queue);
  }
}

uint64_t Dispatcher::TryStart(QueuedLane& lane, Now now) {
  DestinationQueue& queue = lane.queue;
  if (const UsageLedger* ledger = queue.LedgerOf(lane.type());
      ledger != nullptr) {
    for (QueuedLane* each : queue.ReleaseUsage(lane.type(), now.monotonic)) {
      if (each != &lane) schedule_.Enqueue(each->schedule);
    }
    const auto release = ledger->NextRelease();
    if (lane.lane.waits_for_ledger() && release.has_value()) {
      schedule_.WakeAt(lane.schedule, *release);
    }
  }
  const auto ready = queue.ReadyAt(lane);
  if (!ready.has_value()) return 0;
  if (*ready > now.monotonic) {
    schedule_.WakeAt(lane.schedule, *ready);
    return 0;
  }
  if (const auto until = queue.BlockedUntil(lane, now.monotonic);
      until.has_value()) {
    if (*until != MonotonicTime::max()) schedule_.WakeAt(lane.schedule, *until);
    return 0;
  }
  const Endpoint endpoint{.region = queue.destination().region,
                          .type = lane.type()};
  const bool fails = lane.failures > 0 || lane.suspected_failures > 0;
  const auto asking =
      fails ? RegionSlots::Asking::kFails : RegionSlots::Asking::kGetsThrough;
  if (region_slots_.MustWait(endpoint, lane.id(), asking, now.monotonic)) {
    schedule_.Park(lane.schedule);
    region_slots_.Wait(endpoint, lane.id());
    return 0;
  }
  DestinationQueue::Turn turn = queue.TurnOf(lane, now);
  if (turn.max_items == 0) {
    const auto next = queue.NextAllowance(lane, now.monotonic);
    if (next.has_value()) schedule_.WakeAt(lane.schedule, *next);
    return 0;
  }
  if (region_slots_.probes(endpoint, asking) || (fails && lane.hanging > 0)) {
    turn.max_items =
        std::min(turn.max_items,
                 RegionSlots::ProbeItems(turn.lane->lane.queued_items()));
  }
  const uint64_t work = Pull(*turn.lane, turn.max_items, now);
  if (turn.lane != &lane) schedule_.Enqueue(lane.schedule);
  return work;
}

uint64_t Dispatcher::Pull(QueuedLane& lane, uint32_t max_items, Now now) {
  DestinationQueue& queue = lane.queue;
  lane.limit_holds = false;
  UsageLedger* ledger = queue.LedgerOf(lane.type());
  const bool counts_items =
      PolicyOf(lane.type()).limit.unit == LimitedUnit::kItems;
  const uint64_t used_before = counts_items ? ledger->UsedBy(lane.id()) : 0;
  SpoolChange change;
  absl::StatusOr<Lane::Pull> pull =
      lane.lane.Next({.now = now,
                      .destination = queue.destination(),
                      .ledger = ledger,
                      .next_id = [&] { return history_.NextId(now.wall); },
                      .max_items = max_items,
                      .may_defer = !disk_short_,
                      .trials = queue.TrialsOf(lane),
                      .max_work = rules_.max_step_work},
                     change);
  if (!pull.ok()) {
    queue.SetLastError(std::string(pull.status().message()),
                       ErrorOrigin::kSpool, now.wall);
    lane.not_before = now.monotonic + kStorageRetry;
    schedule_.WakeAt(lane.schedule, lane.not_before);
    return 0;
  }
  if (pull->waits_for_space && !pull->batch.has_value()) {
    lane.not_before = now.monotonic + kStorageRetry;
  }
  if (counts_items) queue.CountUsage(lane, used_before, now.monotonic);
  if (pull->expired > 0 && expired_) {
    expired_({.destination = queue.destination(),
              .type = lane.type(),
              .items = pull->expired});
  }
  const uint64_t work = pull->work;
  Send(lane, *std::move(pull), std::move(change), now);
  return work;
}

void Dispatcher::Send(QueuedLane& lane, Lane::Pull pull, SpoolChange change,
                      Now now) {
  Finished finished = lane.lane.waiters().TakeFinished();
  const bool awaited = pull.awaits_change;
  if (awaited) ++lane.awaited_changes;
  std::optional<HeapRequest> request;
  if (pull.batch.has_value()) {
    request = BeginAttempt(lane, pull.attempt, *std::move(pull.batch), now);
  }
  const UsageLedger* ledger = lane.queue.LedgerOf(lane.type());
  if (ledger != nullptr && lane.lane.waits_for_ledger()) {
    if (const auto release = ledger->NextRelease(); release.has_value()) {
      schedule_.WakeAt(lane.schedule, *release);
    }
  }
  if (!change.empty() || request.has_value() || awaited || !finished.empty()) {
    committer_.Apply(std::move(change),
                     [this, &lane, awaited, request = std::move(request),
                      finished = std::move(finished)]() mutable {
                       if (request.has_value()) {
                         transport_.Send(*std::move(request));
                       }
                       OnStored(lane, awaited, std::move(finished));
                     });
  }
  lane.queue.UpdateBacklog(now.monotonic);
  schedule_.Enqueue(lane.schedule);
}

HeapRequest Dispatcher::BeginAttempt(QueuedLane& lane, AttemptId id,
                                     Batch batch, Now now) {
  const Region region = lane.queue.destination().region;
  const std::optional<BatchTrace> trace =
      traces_.TraceOf(lane.id(), batch.items, id, spool_.id());
  HeapRequest request{.id = id,
                      .url = absl::StrCat(rules_.region_urls[IndexOf(region)],
                                          PolicyOf(lane.type()).heap_path),
                      .body = std::move(batch.body)};
  if (trace.has_value() && rules_.send_traceparent) {
    request.traceparent = trace->context.TraceParent(trace->span);
  }
  region_slots_.Take({.region = region, .type = lane.type()});
  const Standing standing = batch.standing;
  in_flight_.Add({.id = id,
                  .lane = &lane,
                  .batch = std::move(batch),
                  .started = now,
                  .trace = trace,
                  .region = region,
                  .role = lane.queue.Begin(lane, standing)});
  return request;
}

// The continuation of a change.
void Dispatcher::OnStored(QueuedLane& lane, bool awaited, Finished finished) {
  if (awaited) {
    --lane.awaited_changes;
    schedule_.Enqueue(lane.schedule);
  }
  for (auto& [callback, settlement] : finished) callback(settlement);
}

void Dispatcher::OnResponse(const HeapResponse& response, Now now) {
  const Attempt attempt = in_flight_.Take(response.request_id, now.monotonic);
  QueuedLane& lane = *attempt.lane;
  DestinationQueue& queue = lane.queue;

  if (attempt.role == RequestRole::kHanging) {
    region_slots_.EndHanging(attempt.endpoint());
  }
  region_slots_.GiveBack(attempt.endpoint());
  queue.End(lane, attempt.batch.standing, attempt.role);
  const Verdict verdict =
      Classify(response, lane.type(), attempt.batch.items.size(), now.wall,
               rules_.max_retry_after);
  if (GetsThrough(verdict.response_class)) {
    in_flight_.GotThrough(attempt, now.monotonic);
    for (const ObjectType type : region_slots_.OnReached(attempt.endpoint())) {
      Wake({.region = attempt.region, .type = type});
    }
  } else {
    in_flight_.LookAgain(now.monotonic);
  }
  SpoolChange change;
  const std::optional<Duration> next_try =
      responses_.Handle(attempt, verdict, response, now, change);
  queue.UpdateBacklog(now.monotonic);
  const bool awaited = lane.lane.TakeDeferredEnded();
  if (awaited) ++lane.awaited_changes;
  committer_.Apply(std::move(change),
                   [this, &lane, awaited,
                    finished = lane.lane.waiters().TakeFinished()]() mutable {
                     OnStored(lane, awaited, std::move(finished));
                   });
  if (sink_) ReportEnd(attempt, verdict, next_try, now, sink_);
  // The lane that waits for the region goes before the one just served.
  if (const auto waiting = region_slots_.Offer(attempt.region, now.monotonic);
      waiting.has_value()) {
    schedule_.OfferFirst(queues_.LaneOf(*waiting).schedule);
  }
  Enqueue(queue);
}

bool Dispatcher::Pause(absl::string_view destination, bool paused) {
  const std::vector<DestinationQueue*> queues = queues_.Named(destination);
  if (queues.empty() && !destination.empty()) return false;
  SpoolChange change;
  for (DestinationQueue* queue : queues) {
    queue->SetPaused(paused);
    change.PutPaused(queue->destination().name, paused);
    Enqueue(*queue);
  }
  change.RequireDisk();
  committer_.Apply(std::move(change), nullptr);
  return true;
}

bool Dispatcher::Flush(absl::string_view destination, SettledCallback done) {
  return queues_.Flush(destination, std::move(done), [this](QueuedLane& lane) {
    schedule_.Enqueue(lane.schedule);
  });
}

}  // namespace heapsync
