#include "tests/engine/world.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "tests/intake/commit_pending.h"

namespace heapsync {
namespace {

// Small limits and batches, so that a short life meets every edge of them.
constexpr uint32_t kEventsPerMinute = 150;
constexpr uint32_t kEventsPerIdentity = 25;
constexpr uint32_t kUserRequests = 4;
constexpr uint32_t kBatchItems = 20;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

bool LaneLess(const LaneKey& a, const LaneKey& b) {
  return std::tie(a.destination, a.type, a.caller) <
         std::tie(b.destination, b.type, b.caller);
}

// Two destinations in a region, if there are four.
std::vector<Destination> MakeDestinations(int count, bool limits) {
  std::vector<Destination> destinations;
  for (int i = 0; i < count; ++i) {
    Destination destination{.name = absl::StrCat("d", i),
                            .app_id = *AppId::Parse(absl::StrCat(1000 + i)),
                            .region = i % 2 == 0 ? Region::kUs : Region::kEu};
    destination.limits = {.events_per_minute = kEventsPerMinute,
                          .events_per_identity_per_minute = kEventsPerIdentity,
                          .user_requests_per_identity_per_30s = kUserRequests};
    if (!limits) {
      destination.limits = {.events_per_minute = 0,
                            .events_per_identity_per_minute = 0,
                            .user_requests_per_identity_per_30s = 0};
    }
    destination.batch = {.max_items = kBatchItems,
                         .max_bytes = 1 << 20,
                         .max_wait = std::chrono::milliseconds(500)};
    destinations.push_back(std::move(destination));
  }
  return destinations;
}

}  // namespace

World::World(const WorldRules& rules)
    : rules_(rules),
      random_(rules.seed),
      destinations_(MakeDestinations(rules.destinations, rules.limits)),
      wall_(std::chrono::seconds(1'700'000'000)),
      monotonic_(std::chrono::seconds(1'000)),
      heap_(rules.seed * 7919 + 1,
            rules.limits
                ? SimulatedHeap::Limits{kEventsPerMinute, kEventsPerIdentity,
                                        kUserRequests}
                : SimulatedHeap::Limits{kNoLimit, kNoLimit, kNoLimit}),
      lanes_(&LaneLess) {
  heap_.faults = rules.faults;
  delivery_.misconfigured_backoff.cap = std::chrono::seconds(60);
  // Some worlds work in the smallest steps; not of one item where that would
  // make more requests than Heap's failures leave time for.
  if (rules.seed % 3 == 1) {
    delivery_.max_step_work =
        (rules.crash > 0 ? 20'000 : 1) + rules.seed % 30'000;
  }
  // In some, updates overtake even a short backlog.
  if (rules.seed % 2 == 0) {
    delivery_.overtaking = {.min_backlog = rules.seed % 5,
                            .max_waiting = 1 + rules.seed % 20};
  }
  Start();
}

bool World::Chance(double probability) {
  return std::uniform_real_distribution<>(0, 1)(random_) < probability;
}

int64_t World::Pick(int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random_);
}

void World::Start() {
  ++lives_;
  auto spool = Spool::Open(store_, 42);
  if (!spool.ok()) {
    broken_.push_back(absl::StrCat("open: ", spool.status().ToString()));
    return;
  }
  spool_ = *std::move(spool);
  auto lanes = spool_->Lanes();
  lanes_.clear();
  LaneId next = 1;
  for (const StoredLane& lane : *lanes) {
    lanes_.emplace(lane.key, lane.id);
    next = std::max(next, lane.id + 1);
  }
  SpoolChange change;
  for (const Destination& destination : destinations_) {
    for (const ObjectType type : kObjectTypes) {
      const LaneKey key{.destination = destination.name, .type = type};
      if (!lanes_.emplace(key, next).second) continue;
      change.PutLane(next, key);
      lanes->push_back({.id = next, .key = key, .progress = {}});
      ++next;
    }
  }
  change.RequireDisk();
  static_cast<void>(spool_->Commit(change));
  committer_ = std::make_unique<Committer>(
      *spool_, Committer::Options{.max_block_items = 7}, *lanes,
      [this](Committer::Notices notices) {
        notices_.push_back(std::move(notices));
      });
  dispatcher_ = std::make_unique<Dispatcher>(
      *spool_, *committer_, heap_, delivery_,
      [this] { return std::uniform_real_distribution<>(0, 1)(random_); },
      nullptr);
  const absl::Status status =
      dispatcher_->Start(destinations_, *lanes, Time(), epoch_);
  if (!status.ok()) broken_.push_back(status.ToString());
  next_step_ = monotonic_;
}

void World::Crash(bool machine) {
  dispatcher_.reset();
  committer_.reset();
  notices_.clear();
  heap_.LoseSender();
  if (machine) {
    store_.CrashMachine(Pick(0, 5));
    ++epoch_;
    // A machine takes its time to come back.
    const Duration down = std::chrono::seconds(Pick(1, 90));
    monotonic_ += down;
    wall_ += down;
  } else {
    store_.CrashProcess();
    const Duration down = std::chrono::milliseconds(Pick(10, 3'000));
    monotonic_ += down;
    wall_ += down;
  }
  heap_.SetTime(monotonic_);
  Start();
}

LaneId World::LaneOf(const LaneKey& key) {
  const auto [lane, is_new] = lanes_.emplace(key, 0);
  if (is_new) {
    for (const auto& [other, id] : lanes_) {
      lane->second = std::max(lane->second, id + 1);
    }
    committer_->AddLane(lane->second, key);
  }
  return lane->second;
}

void World::AppendChunk() {
  const Destination& destination =
      destinations_[static_cast<size_t>(Pick(0, rules_.destinations - 1))];
  const ObjectType type = kObjectTypes[static_cast<size_t>(Pick(0, 2))];
  ChunkEncoder encoder(destination.encoding, wall_);
  const int64_t count = Pick(1, rules_.max_items);
  std::vector<size_t> indices;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t v = ++next_item_;
    Sent sent{.app = destination.app_id.digits(), .v = v};
    sent.poison =
        type == ObjectType::kTrackEvent && !only_good_ && Chance(rules_.poison);
    // Half of all goes to one identity, which so comes over its limit.
    std::string who =
        absl::StrCat("w", Chance(0.5) ? 0 : Pick(0, rules_.identities - 1));
    if (rules_.crash > 0 && !sent.poison && !only_good_) {
      sent.crash = Chance(rules_.crash);
    }
    if (sent.crash) ++crashing_;
    // Later updates of an identity wait for the one that makes Heap fail.
    if (sent.crash && type != ObjectType::kTrackEvent) who = "crash-me";
    Findings findings;
    if (type == ObjectType::kTrackEvent) {
      v1::TrackEvent event;
      event.set_identity(who);
      event.set_event(sent.poison  ? "poison"
                      : sent.crash ? "crash-me"
                                   : "bought");
      sent.key = absl::StrCat("key-", 100'000 + v);
      event.set_idempotency_key(sent.key);
      findings = encoder.Add(event, {.field = "event"}, "");
    } else if (type == ObjectType::kUserProperties) {
      v1::UserProperties user;
      user.set_identity(who);
      (*user.mutable_properties()->mutable_fields())["v"].set_number_value(
          static_cast<double>(v));
      sent.who = absl::StrCat("u/", who);
      findings = encoder.Add(user, {.field = "user"});
    } else {
      v1::AccountProperties account;
      account.set_account_id(who);
      (*account.mutable_properties()->mutable_fields())["v"].set_number_value(
          static_cast<double>(v));
      sent.who = absl::StrCat("a/", who);
      findings = encoder.Add(account, {.field = "account"});
    }
    if (!findings.ok()) broken_.push_back(findings.violations[0].description);
    indices.push_back(submitted_.size());
    submitted_.push_back(std::move(sent));
  }
  LaneKey key{.destination = destination.name, .type = type};
  if (type == ObjectType::kTrackEvent && rules_.callers > 0 && Chance(0.5)) {
    key.caller = absl::StrCat("c", Pick(0, rules_.callers - 1));
  }
  const LaneId lane = LaneOf(key);
  EncodedChunk chunk = encoder.Take();
  chunk.caller = static_cast<uint64_t>(Pick(0, 3));
  const absl::Status status = committer_->Append(
      lane, std::move(chunk), [this, indices](absl::StatusOr<SeqRange> range) {
        if (!range.ok()) return;
        promised_.insert(indices.begin(), indices.end());
        acknowledged_ += indices.size();
      });
  if (!status.ok()) broken_.push_back(status.ToString());
}

void World::Turn() {
  heap_.SetTime(monotonic_);
  heap_.Advance();
  if (Chance(0.7)) CommitPending(*committer_);
  std::vector<Committer::Notices> notices;
  notices.swap(notices_);
  for (Committer::Notices& each : notices) {
    dispatcher_->OnNotices(std::move(each), Time());
  }
  for (const HeapResponse& response : heap_.Wait(Duration(0))) {
    dispatcher_->OnResponse(response, Time());
  }
  next_step_ = monotonic_ + dispatcher_->Step(Time());
}

void World::Live(MonotonicTime until) {
  while (monotonic_ < until) {
    Turn();
    // The committer finishes its pending work in a moment.
    MonotonicTime next = monotonic_ + std::chrono::milliseconds(Pick(1, 4));
    const bool busy = CommitPending(*committer_) || !notices_.empty();
    if (!busy) next = std::min({heap_.NextMoment(), next_step_, until});
    next = std::clamp(next, monotonic_ + Duration(1), until);
    wall_ += next - monotonic_;
    monotonic_ = next;
  }
}

std::vector<std::string> World::Run() {
  for (int i = 0; i < rules_.chunks && broken_.empty(); ++i) {
    if (Chance(rules_.process_crash)) Crash(false);
    if (Chance(rules_.machine_crash)) Crash(true);
    if (Chance(rules_.clock_jump)) wall_ += std::chrono::seconds(Pick(-90, 90));
    AppendChunk();
    Live(monotonic_ + Duration(Pick(0, rules_.max_pause.count())));
  }
  heap_.faults = {.names_poison = rules_.faults.names_poison,
                  .max_latency = rules_.faults.max_latency};
  for (int i = 0; i < rules_.outages; ++i) LiveThroughOutage();
  if (rules_.crash > 0) CheckNeighboursOfCrashes();
  for (int minutes = 0; minutes < 24 * 60; ++minutes) {
    Live(monotonic_ + std::chrono::minutes(1));
    if (dispatcher_->queued_items() == 0 && dispatcher_->in_flight() == 0 &&
        !CommitPending(*committer_)) {
      break;
    }
  }
  if (dispatcher_->queued_items() > 0) {
    broken_.push_back(absl::StrCat(dispatcher_->queued_items(),
                                   " items are never delivered"));
  }
  Check();
  return broken_;
}

bool World::Delivered(const Sent& sent) const {
  const auto app = heap_.events().find(sent.app);
  return app != heap_.events().end() && app->second.contains(sent.key);
}

bool World::Waits(Region region, ObjectType type) const {
  for (const DestinationSnapshot& each :
       dispatcher_->Snapshot(0, destinations_.size(), Time())) {
    if (each.region != region) continue;
    for (const LaneSnapshot& lane : each.lanes) {
      if (lane.type == type && Waits(lane)) return true;
    }
  }
  return false;
}

// True if the lane has items that could be sent at once.
bool World::Waits(const LaneSnapshot& lane) const {
  if (!rules_.outages_hang) return lane.queued_items > 0;
  // Updates may wait for one of their identity that is in a request that hangs.
  if (lane.type != ObjectType::kTrackEvent) return false;
  uint64_t items = 0;
  for (const InFlightAttempt& each : dispatcher_->InFlightAttempts(lane.id)) {
    items += each.items;
  }
  // One that was isolated wrongly, by an outage that began during a search,
  // waits a minute.
  return lane.queued_items > items + lane.isolated_items;
}

// While Heap is away one request at a time probes for a region; whatever comes
// back first is used within two seconds, while the rest is still away.
void World::LiveThroughOutage() {
  const auto live = [&](Duration time) {
    const MonotonicTime until = monotonic_ + time;
    while (monotonic_ < until) {
      AppendChunk();
      const Duration pause = std::chrono::milliseconds(Pick(100, 5'000));
      Live(std::min(until, monotonic_ + pause));
    }
  };
  for (const ObjectType type : kObjectTypes) {
    heap_.faults.away.emplace(HeapPath(type));
  }
  heap_.faults.away_hangs = rules_.outages_hang;
  constexpr size_t kMaxHanging = 40;
  const size_t allowed = rules_.outages_hang ? kMaxHanging : 1;
  // Until then both destinations of a region have failed, but for one world in
  // many millions.
  live(std::chrono::seconds(180));
  heap_.TakeMaxInFlight();
  const uint64_t requests = heap_.requests();
  const MonotonicTime begin = monotonic_;
  live(std::chrono::seconds(Pick(10, 300)));
  if (const size_t max = heap_.TakeMaxInFlight(); max > allowed) {
    broken_.push_back(absl::StrCat(max, " probes of a region at once"));
  }
  constexpr uint64_t kEndpoints = kObjectTypes.size() * kRegions.size();
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(monotonic_ - begin);
  if (heap_.requests() - requests >
      2 * kEndpoints * static_cast<uint64_t>(seconds.count())) {
    broken_.push_back(absl::StrCat(heap_.requests() - requests, " probes in ",
                                   seconds.count(), " s"));
  }
  std::vector<ObjectType> order(kObjectTypes.begin(), kObjectTypes.end());
  std::shuffle(order.begin(), order.end(), random_);
  for (const ObjectType type : order) {
    std::vector<std::string> urls;
    for (const RegionRow& row : kRegions) {
      if (!Waits(row.region, type)) continue;
      urls.push_back(absl::StrCat(delivery_.region_urls[IndexOf(row.region)],
                                  HeapPath(type)));
    }
    heap_.faults.away.erase(std::string(HeapPath(type)));
    const MonotonicTime back = monotonic_;
    // A probe may have been on its way already.
    live(std::chrono::seconds(2) + 2 * heap_.faults.max_latency);
    for (const std::string& url : urls) {
      if (heap_.LastTaken(url) >= back) continue;
      broken_.push_back(absl::StrCat(url, " is back and gets nothing"));
    }
    live(std::chrono::seconds(Pick(0, 60)));
  }
}

// An item that Heap would take is delivered within a bounded number of
// requests, whatever its neighbours are. Afterwards Heap is mended, and takes
// everything.
void World::CheckNeighboursOfCrashes() {
  // In a life: some before the batch is suspected, and one alone; more for an
  // identity at its limit, whose items are put into other batches meanwhile.
  // Those that make Heap fail are tried about once a second while nothing gets
  // through, and rarely afterwards.
  constexpr int kMaxRequests = 30;
  constexpr int kMaxCrashingRequests = 100;
  const bool only_content_fails = rules_.faults.unavailable == 0;
  heap_.faults.on_crash = rules_.faults.on_crash;
  only_good_ = true;
  for (int minute = 0; minute < 30; ++minute) {
    for (int chunk = 0; chunk < 6; ++chunk) AppendChunk();
    Live(monotonic_ + std::chrono::minutes(1));
  }
  Live(monotonic_ + std::chrono::minutes(10));
  CheckFinalValues();
  for (size_t i = 0; i < submitted_.size(); ++i) {
    const Sent& sent = submitted_[i];
    if (sent.poison || !promised_.contains(i)) continue;
    const int requests = sent.key.empty() ? 0 : heap_.RequestsWith(sent.key);
    const int max = sent.crash ? kMaxCrashingRequests : kMaxRequests;
    if (only_content_fails && requests > max * lives_) {
      broken_.push_back(absl::StrCat(sent.key, sent.crash ? " (crash)" : "",
                                     " went in ", requests, " requests"));
    }
    if (!sent.crash && !sent.key.empty() && !Delivered(sent)) {
      broken_.push_back(absl::StrCat("held up by a neighbour: ", sent.key));
    }
  }
  heap_.faults.on_crash = OnCrash::kTake;
}

void World::Check() {
  Break(heap_.Verdict());

  std::set<std::string> dead;
  for (const auto& [key, lane] : lanes_) {
    const absl::Status status =
        spool_->VisitDeadLetters(lane, 0, [&](const DeadLetter& letter) {
          dead.insert(letter.text);
          ++dead_lettered_;
          return true;
        });
    if (!status.ok()) broken_.push_back(status.ToString());
  }
  const auto is_dead = [&](const std::string& part) {
    return std::any_of(dead.begin(), dead.end(), [&](const std::string& text) {
      return text.find(absl::StrCat("\"", part, "\"")) != std::string::npos;
    });
  };

  std::set<std::string> known;
  for (size_t i = 0; i < submitted_.size(); ++i) {
    const Sent& sent = submitted_[i];
    const bool promised = promised_.contains(i);
    if (sent.key.empty()) continue;
    known.insert(sent.key);
    const bool delivered = Delivered(sent);
    if (delivered && heap_.events().at(sent.app).at(sent.key) > 1) {
      ++redelivered_;
    }
    const bool dead_lettered = sent.poison && is_dead(sent.key);
    if (promised && !delivered && !dead_lettered) {
      broken_.push_back(absl::StrCat("lost: ", sent.key));
    }
    if (delivered && sent.poison) {
      broken_.push_back(absl::StrCat("poison was taken: ", sent.key));
    }
    if (!sent.poison && is_dead(sent.key)) {
      broken_.push_back(
          absl::StrCat("dead_lettered without a reason: ", sent.key));
    }
  }
  Break(heap_.NotAmong(known));
  CheckFinalValues();
}

void World::Break(const std::vector<std::string>& promises) {
  broken_.insert(broken_.end(), promises.begin(), promises.end());
}

void World::CheckFinalValues() {
  std::map<std::string, int64_t> last_promised;
  for (const size_t i : promised_) {
    const Sent& sent = submitted_[i];
    if (!sent.key.empty()) continue;
    if (sent.crash && heap_.faults.on_crash != OnCrash::kTake) continue;
    int64_t& last = last_promised[absl::StrCat(sent.app, "/", sent.who)];
    last = std::max(last, sent.v);
  }
  Break(heap_.OlderThan(last_promised));
}

}  // namespace heapsync
