#include "heap_adapter/delivery/dispatcher.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "heap_adapter/delivery/work.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {
namespace {

constexpr Duration kMaxSleep = std::chrono::seconds(60);
// After the spool could not be read, or the disk had no space.
constexpr Duration kStorageRetry = std::chrono::seconds(1);
// Appends whose trace is remembered; see RecentTraces.
constexpr size_t kMaxTraces = 1 << 16;

// Items of a request that only probes. More: the first request that gets
// through delivers more, but probes of an outage use up more of Heap's limits,
// since nobody knows what Heap counted.
constexpr uint64_t kMaxProbeItems = 32;
// A probe takes at most this part of what waits: while some hang, others need
// items too.
constexpr uint64_t kProbePart = 12;

uint32_t ProbeItems(const Lane& lane) {
  return static_cast<uint32_t>(std::clamp<uint64_t>(
      lane.queued_items() / kProbePart, 1, kMaxProbeItems));
}

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
    if (QueueOf(destination.name) == nullptr) added.push_back(&destination);
  }
  std::vector<std::unique_ptr<DestinationQueue>> queues;
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
    DestinationQueue* known = QueueOf(destination.name);
    if (known == nullptr) continue;
    known->SetDestination(destination, now.monotonic);
    Enqueue(*known);
  }
  Adopt(std::move(queues), std::move(usage), now);
  return absl::OkStatus();
}

void Dispatcher::Adopt(std::vector<std::unique_ptr<DestinationQueue>> queues,
                       std::vector<StoredUsage> usage, Now now) {
  absl::flat_hash_map<LaneId, QueuedLane*> adopted;
  for (std::unique_ptr<DestinationQueue>& queue : queues) {
    for (const auto& lane : queue->lanes()) {
      adopted.emplace(lane->id(), lane.get());
      lanes_.emplace(lane->id(), lane.get());
      schedule_.Enqueue(lane->schedule);
    }
    by_name_.emplace(queue->destination().name, queue.get());
    queue->UpdateBacklog(now.monotonic);
    queues_.push_back(std::move(queue));
  }
  for (StoredUsage& each : usage) {
    const auto lane = adopted.find(each.record.lane);
    if (lane == adopted.end()) continue;
    UsageLedger* ledger = lane->second->queue.LedgerOf(lane->second->type());
    if (ledger == nullptr) continue;
    ledger->Begin(each.id, std::move(each.record.identities), each.record.lane);
    ledger->End(each.id, each.ended);
  }
}

QueuedLane& Dispatcher::LaneOf(LaneId lane) {
  const auto it = lanes_.find(lane);
  HEAPSYNC_CHECK(it != lanes_.end()) << "no lane " << lane;
  return *it->second;
}

DestinationQueue* Dispatcher::QueueOf(absl::string_view destination) const {
  const auto it = by_name_.find(destination);
  return it == by_name_.end() ? nullptr : it->second;
}

std::vector<DestinationQueue*> Dispatcher::QueuesOf(
    absl::string_view destination) const {
  std::vector<DestinationQueue*> found;
  if (destination.empty()) {
    for (const auto& queue : queues_) found.push_back(queue.get());
  } else if (DestinationQueue* queue = QueueOf(destination); queue != nullptr) {
    found.push_back(queue);
  }
  return found;
}

void Dispatcher::Enqueue(DestinationQueue& queue) {
  for (const auto& lane : queue.lanes()) schedule_.Enqueue(lane->schedule);
}

void Dispatcher::OnNotices(Committer::Notices notices, Now now) {
  for (AddedLane& added : notices.lanes) {
    DestinationQueue* queue = QueueOf(added.key.destination);
    // Others add lanes to a shared spool: of destinations that are not
    // configured here, and ones that this has taken over from it.
    if (queue == nullptr || lanes_.contains(added.id)) continue;
    QueuedLane& lane = queue->AddLane(
        spool_, {.id = added.id, .key = std::move(added.key), .progress = {}},
        {});
    lanes_.emplace(lane.id(), &lane);
    schedule_.Enqueue(lane.schedule);
  }
  for (Appended& appended : notices.appended) {
    const auto known = lanes_.find(appended.lane);
    // The destination is not configured here.
    if (known == lanes_.end()) continue;
    QueuedLane& lane = *known->second;
    if (appended.trace.has_value()) {
      traces_.Remember(lane.id(), appended.items, *appended.trace);
    }
    // Given back once the backlog counts the items.
    const Backlog::Reservation reservation = std::move(appended.reservation);
    lane.lane.OnAppended(std::move(appended), now.monotonic, rules_.overtaking,
                         overtaking_memory_);
    lane.queue.UpdateBacklog(now.monotonic);
    schedule_.Enqueue(lane.schedule);
  }
  for (auto& done : notices.applied) done();
}

Duration Dispatcher::Step(Now now) {
  FindHanging(now.monotonic);
  schedule_.WakeDue(now.monotonic);
  // A lane that starts something goes to the end of the line.
  uint64_t work = 0;
  while (in_flight_.size() < static_cast<size_t>(rules_.max_in_flight)) {
    if (!schedule_.HasReady() && !OfferRegionSlot(now.monotonic)) break;
    if (work >= rules_.max_step_work) return kMoreToDo;
    work += Work::kPull + TryStart(LaneOf(schedule_.TakeReady()), now);
  }
  std::optional<MonotonicTime> wake = schedule_.NextWake();
  if (const auto probe = region_slots_.NextProbe(); probe.has_value()) {
    wake = std::min(wake.value_or(*probe), *probe);
  }
  wake = std::min(wake.value_or(next_hanging_), next_hanging_);
  if (*wake == MonotonicTime::max()) return kMaxSleep;
  return std::clamp<Duration>(*wake - now.monotonic, Duration(1), kMaxSleep);
}

// A lane that waits for its region may turn out to have nothing to send now;
// the slot is then offered to the next.
bool Dispatcher::OfferRegionSlot(MonotonicTime now) {
  for (const RegionRow& row : kRegions) {
    const std::optional<LaneId> lane = region_slots_.Offer(row.region, now);
    if (!lane.has_value()) continue;
    schedule_.Offer(LaneOf(*lane).schedule);
    return true;
  }
  return false;
}

bool Dispatcher::Fails(const Attempt& attempt) const {
  return attempt.lane->failures > 0 || attempt.lane->suspected_failures > 0 ||
         region_slots_.silent(attempt.endpoint());
}

void Dispatcher::FindHanging(MonotonicTime now) {
  if (now < next_hanging_) return;
  next_hanging_ = MonotonicTime::max();
  std::vector<Attempt*> hanging;
  for (auto& [id, attempt] : in_flight_) {
    if (!Fails(attempt)) continue;
    if (attempt.role == RequestRole::kHanging) {
      if (!attempt.silence.has_value()) {
        attempt.silence = region_slots_.SilenceOf(attempt.endpoint());
      }
      continue;
    }
    const MonotonicTime hangs_at =
        attempt.started.monotonic + rules_.hangs_after;
    if (hangs_at <= now) {
      hanging.push_back(&attempt);
    } else {
      next_hanging_ = std::min(next_hanging_, hangs_at);
    }
  }
  // The map has no order.
  std::sort(hanging.begin(), hanging.end(),
            [](const Attempt* a, const Attempt* b) { return a->id < b->id; });
  for (Attempt* attempt : hanging) {
    DestinationQueue& queue = attempt->lane->queue;
    const MonotonicTime next_probe =
        attempt->started.monotonic + rules_.hanging_probe_interval;
    attempt->silence = region_slots_.SilenceOf(attempt->endpoint());
    region_slots_.BeginHanging(attempt->endpoint(), next_probe);
    queue.BeginHanging(*attempt->lane, attempt->batch.standing, attempt->role,
                       next_probe);
    attempt->role = RequestRole::kHanging;
    Enqueue(queue);
  }
}

void Dispatcher::Wake(Endpoint endpoint) {
  for (const auto& queue : queues_) {
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
    turn.max_items = std::min(turn.max_items, ProbeItems(turn.lane->lane));
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
  const std::optional<BatchTrace> trace = TraceOf(lane.id(), batch, id);
  HeapRequest request{.id = id,
                      .url = absl::StrCat(rules_.region_urls[IndexOf(region)],
                                          PolicyOf(lane.type()).heap_path),
                      .body = std::move(batch.body)};
  if (trace.has_value() && rules_.send_traceparent) {
    request.traceparent = trace->context.TraceParent(trace->span);
  }
  region_slots_.Take({.region = region, .type = lane.type()});
  const Standing standing = batch.standing;
  const Attempt& attempt =
      in_flight_
          .emplace(id, Attempt{.id = id,
                               .lane = &lane,
                               .batch = std::move(batch),
                               .started = now,
                               .trace = trace,
                               .region = region,
                               .role = lane.queue.Begin(lane, standing)})
          .first->second;
  if (Fails(attempt)) {
    next_hanging_ = std::min(next_hanging_, now.monotonic + rules_.hangs_after);
  }
  return request;
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

// The continuation of a change.
void Dispatcher::OnStored(QueuedLane& lane, bool awaited, Finished finished) {
  if (awaited) {
    --lane.awaited_changes;
    schedule_.Enqueue(lane.schedule);
  }
  for (auto& [callback, settlement] : finished) callback(settlement);
}

void Dispatcher::OnResponse(const HeapResponse& response, Now now) {
  const auto it = in_flight_.find(response.request_id);
  HEAPSYNC_CHECK(it != in_flight_.end())
      << "no request " << response.request_id << " in flight";
  const Attempt attempt = std::move(it->second);
  in_flight_.erase(it);
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
    for (const ObjectType type : region_slots_.OnReached(attempt.endpoint())) {
      Wake({.region = attempt.region, .type = type});
    }
  } else {
    next_hanging_ = std::min(next_hanging_, now.monotonic);
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
  Report(attempt, verdict, next_try, now);
  // The lane that waits for the region goes before the one just served.
  if (const auto waiting = region_slots_.Offer(attempt.region, now.monotonic);
      waiting.has_value()) {
    schedule_.OfferFirst(LaneOf(*waiting).schedule);
  }
  Enqueue(queue);
}

void Dispatcher::Report(const Attempt& attempt, const Verdict& verdict,
                        std::optional<Duration> next_try, Now now) const {
  if (!sink_) return;
  WallTime oldest = now.wall;
  for (const BatchItem& item : attempt.batch.items) {
    oldest = std::min(oldest, item.accepted_at);
  }
  sink_({.destination = attempt.lane->queue.destination(),
         .type = attempt.lane->type(),
         .batch_id = attempt.batch.id,
         .attempt_id = attempt.id,
         .tries = attempt.batch.tries,
         .items = attempt.batch.items,
         .ended_at = now.wall,
         .trace = attempt.trace,
         .verdict = verdict,
         .latency = now.monotonic - attempt.started.monotonic,
         .oldest_item_age = now.wall - oldest,
         .next_try_in = next_try});
}

bool Dispatcher::Pause(absl::string_view destination, bool paused) {
  const std::vector<DestinationQueue*> queues = QueuesOf(destination);
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
  const std::vector<DestinationQueue*> queues = QueuesOf(destination);
  if (queues.empty() && !destination.empty()) return false;
  struct Join {
    size_t open = 1;
    Settlement total;
    SettledCallback done;
    void End(Settlement part) {
      total.delivered += part.delivered;
      total.dead_lettered += part.dead_lettered;
      total.abandoned = total.abandoned || part.abandoned;
      if (--open == 0) done(total);
    }
  };
  // Shared by the lanes' callbacks: the last of them ends it.
  const auto join = std::make_shared<Join>();
  const auto listener = done.listener();
  join->done = std::move(done);
  for (DestinationQueue* queue : queues) {
    for (const auto& each : queue->lanes()) {
      Lane& lane = each->lane;
      if (lane.queued_items() == 0) continue;
      ++join->open;
      lane.FlushPartialBatches();
      lane.waiters().WaitForAllBelow(
          lane.head(), lane.queued_items(),
          {listener, [join](Settlement part) { join->End(part); }});
      schedule_.Enqueue(each->schedule);
    }
  }
  join->End({});
  return true;
}

std::vector<Dispatcher::Waiter> Dispatcher::TakeWaiters() {
  std::vector<Waiter> waiters;
  for (const auto& [id, lane] : lanes_) {
    for (auto& [items, callback] : lane->lane.waiters().TakeAll()) {
      waiters.push_back(
          {.lane = id, .items = items, .callback = std::move(callback)});
    }
    for (auto& [callback, settlement] : lane->lane.waiters().TakeFinished()) {
      callback(settlement);
    }
  }
  return waiters;
}

std::vector<DestinationSnapshot> Dispatcher::Snapshot(size_t first, size_t max,
                                                      Now now) const {
  std::vector<DestinationSnapshot> snapshots;
  for (size_t i = first; i < queues_.size() && snapshots.size() < max; ++i) {
    snapshots.push_back(queues_[i]->Snapshot(now.monotonic));
  }
  return snapshots;
}

std::vector<DestinationFlow> Dispatcher::Flows() const {
  std::vector<DestinationFlow> flows;
  flows.reserve(queues_.size());
  for (const auto& queue : queues_) flows.push_back(queue->Flow());
  return flows;
}

std::optional<DestinationSnapshot> Dispatcher::SnapshotOf(
    absl::string_view destination, Now now) const {
  const DestinationQueue* queue = QueueOf(destination);
  if (queue == nullptr) return std::nullopt;
  return queue->Snapshot(now.monotonic);
}

std::vector<InFlightAttempt> Dispatcher::InFlightAttempts(LaneId lane) const {
  std::vector<InFlightAttempt> attempts;
  for (const auto& [id, attempt] : in_flight_) {
    if (attempt.lane->id() != lane) continue;
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

std::shared_ptr<Backlog> Dispatcher::BacklogOf(
    absl::string_view destination) const {
  const DestinationQueue* queue = QueueOf(destination);
  return queue == nullptr ? nullptr : queue->backlog();
}

uint64_t Dispatcher::queued_items() const {
  uint64_t items = 0;
  for (const auto& [id, lane] : lanes_) items += lane->lane.queued_items();
  return items;
}

}  // namespace heapsync
