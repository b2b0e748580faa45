#include "tests/engine/cluster_world.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "tests/intake/commit_pending.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kEventsPerMinute = 150;
constexpr uint32_t kEventsPerIdentity = 25;
constexpr uint32_t kUserRequests = 4;
constexpr uint32_t kBatchItems = 20;
constexpr milliseconds kLease{10'000};
constexpr milliseconds kPoll{100};
constexpr WallTime kBegin{seconds(1'700'000'000)};

std::vector<Destination> MakeDestinations(int count) {
  std::vector<Destination> destinations;
  for (int i = 0; i < count; ++i) {
    Destination destination{.name = absl::StrCat("d", i),
                            .app_id = *AppId::Parse(absl::StrCat(1000 + i)),
                            .region = i % 2 == 0 ? Region::kUs : Region::kEu};
    destination.limits = {.events_per_minute = kEventsPerMinute,
                          .events_per_identity_per_minute = kEventsPerIdentity,
                          .user_requests_per_identity_per_30s = kUserRequests};
    destination.batch = {.max_items = kBatchItems,
                         .max_bytes = 1 << 20,
                         .max_wait = milliseconds(500)};
    destinations.push_back(std::move(destination));
  }
  return destinations;
}

}  // namespace

// A shard as one server sees it.
class ClusterWorld::View final : public Store {
 public:
  View(ClusterWorld& world, Shard& shard, Part& part)
      : world_(world), shard_(shard), part_(part) {}

  bool shared() const override { return true; }
  absl::Status Write(const StoreBatch& batch, Durability) override {
    return Update(
        {}, [&batch](const auto&) { return batch; }, Durability::kDisk);
  }
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override;
  absl::Status Resume() override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    return shard_.store.Get(key);
  }
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    return shard_.store.Scan(begin, end);
  }
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    return shard_.store.Last(begin, end);
  }

 private:
  ClusterWorld& world_;
  Shard& shard_;
  Part& part_;
};

// The way of one server to Heap.
class ClusterWorld::Wire final : public Transport {
 public:
  explicit Wire(ClusterWorld& world) : world_(world) {}

  void Send(HeapRequest request) override {
    const uint64_t id = world_.next_request_++;
    ids_[id] = request.id;
    request.id = id;
    world_.heap_.Send(std::move(request));
  }
  std::vector<HeapResponse> Wait(Duration) override {
    return std::exchange(arrived_, {});
  }
  void Wake() override {}

  // True if it is the response to one of its requests.
  bool Take(HeapResponse& response) {
    const auto id = ids_.find(response.request_id);
    if (id == ids_.end()) return false;
    response.request_id = id->second;
    ids_.erase(id);
    arrived_.push_back(std::move(response));
    return true;
  }
  // Nobody waits for its responses any more.
  void Lose() {
    std::set<uint64_t> ids;
    for (const auto& [id, own] : ids_) ids.insert(id);
    world_.heap_.LoseSender(ids);
    ids_.clear();
    arrived_.clear();
  }

 private:
  ClusterWorld& world_;
  std::map<uint64_t, uint64_t> ids_;
  std::vector<HeapResponse> arrived_;
};

// What one server has for one shard.
struct ClusterWorld::Part {
  Part(ClusterWorld& world, size_t number_in)
      : number(number_in),
        view(world, *world.shards_[number_in], *this),
        wire(world) {}

  const size_t number;
  View view;
  Wire wire;
  std::optional<GatedTransport> gate;  // of the process
  MonotonicTime next_step;
  int64_t epoch = 0;     // of its claim; zero: none
  bool resting = false;  // to be handed back
  std::unique_ptr<Spool> spool;
  std::unique_ptr<Committer> committer;
  std::unique_ptr<Dispatcher> dispatcher;
  std::vector<Committer::Notices> notices;
};

struct ClusterWorld::Server {
  Server(ClusterWorld& world, int number_in, Duration skew_in)
      : number(number_in), skew(skew_in) {
    for (size_t i = 0; i < world.shards_.size(); ++i) {
      parts.push_back(std::make_unique<Part>(world, i));
    }
  }

  const int number;
  const Duration skew;
  bool up = false;
  ServerId id = kNoServer;  // of the process
  MonotonicTime starts_at;
  MonotonicTime frozen_until;
  MonotonicTime cut_until;
  MonotonicTime next_poll;
  MonotonicTime next_renewal;
  std::optional<LeaseTerm> term;
  std::vector<std::unique_ptr<Part>> parts;  // by shard
};

absl::Status ClusterWorld::View::Update(const std::vector<std::string>& keys,
                                        BatchMaker make,
                                        Durability durability) {
  const auto attempt = [&]() -> absl::StatusOr<StoreBatch> {
    if (part_.epoch != 0 && part_.epoch != shard_.epoch) {
      return absl::AbortedError("another server owns the shard");
    }
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) {
      values.push_back(*shard_.store.Get(key));
    }
    return make(values);
  };
  if (!keys.empty() && !world_.peace_ &&
      world_.Chance(world_.rules_.lost_answer)) {
    // It is lost with its connection, and others come first.
    if (const auto lost = attempt(); !lost.ok()) return lost.status();
    ++world_.repeated_commits_;
    world_.CommitElsewhere(part_);
  }
  const absl::StatusOr<StoreBatch> batch = attempt();
  if (!batch.ok()) return batch.status();
  return shard_.store.Write(*batch, durability);
}

ClusterWorld::ClusterWorld(const ClusterRules& rules)
    : rules_(rules),
      random_(rules.seed),
      destinations_(MakeDestinations(rules.destinations)),
      now_(seconds(100'000)),
      heap_(rules.seed * 7919 + 1,
            {.events_per_minute = kEventsPerMinute,
             .events_per_identity_per_minute = kEventsPerIdentity,
             .user_requests_per_identity_per_30s = kUserRequests}) {
  heap_.faults = rules.faults;
  heap_.SetTime(now_);
  delivery_.misconfigured_backoff.cap = seconds(60);
  part_destinations_.resize(static_cast<size_t>(rules.shards));
  for (const Destination& destination : destinations_) {
    part_destinations_[ShardOfDestination(destination)].push_back(destination);
  }
  for (int i = 0; i < rules.shards; ++i) {
    shards_.push_back(std::make_unique<Shard>());
  }
  for (int i = 0; i < rules.servers; ++i) {
    const Duration skew(Pick(0, rules.max_skew.count()));
    servers_.push_back(std::make_unique<Server>(*this, i, skew));
    Boot(*servers_.back());
  }
}

ClusterWorld::~ClusterWorld() = default;

bool ClusterWorld::Chance(double probability) {
  return std::uniform_real_distribution<>(0, 1)(random_) < probability;
}

int64_t ClusterWorld::Pick(int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random_);
}

bool ClusterWorld::Runs(const Server& server) const {
  return server.up && server.frozen_until <= now_;
}

bool ClusterWorld::IsConnected(const Server& server) const {
  return server.cut_until <= now_;
}

Now ClusterWorld::TimeOf(const Server& server) const {
  return {.wall = kBegin + (now_ - MonotonicTime(seconds(100'000))),
          .monotonic = now_ + server.skew};
}

void ClusterWorld::Boot(Server& server) {
  server.id = next_server_++;
  leases_[server.id] = now_ + kLease;
  server.term.emplace(kLease);
  server.term->Renewed(TimeOf(server).monotonic.time_since_epoch());
  server.next_renewal = now_ + server.term->renewal();
  for (const auto& each : server.parts) {
    Part& part = *each;
    auto spool = Spool::Open(part.view, 42 + part.number);
    if (!spool.ok()) {
      broken_.push_back(absl::StrCat("open: ", spool.status().ToString()));
      return;
    }
    part.spool = *std::move(spool);
    part.committer = std::make_unique<Committer>(
        *part.spool, Committer::Options{.max_block_items = 7},
        std::vector<StoredLane>(), [&part](Committer::Notices notices) {
          if (part.epoch != 0) part.notices.push_back(std::move(notices));
        });
    part.gate.emplace(part.wire, [this, &server, &part] {
      return part.epoch != 0 && server.term.has_value() &&
             server.term->Left(TimeOf(server).monotonic.time_since_epoch()) >
                 std::chrono::nanoseconds(0);
    });
  }
  LaneId lane = 0;
  for (const Destination& destination : destinations_) {
    for (const ObjectType type : kObjectTypes) {
      server.parts[ShardOfDestination(destination)]->committer->AddLane(
          ++lane, {.destination = destination.name, .type = type});
    }
  }
  server.up = true;
  server.next_poll = now_;
}

size_t ClusterWorld::ShardOfDestination(const Destination& destination) const {
  return static_cast<size_t>(ShardOf(destination.name, rules_.shards));
}

// The process is gone, with all that it had in memory.
void ClusterWorld::End(Server& server, Duration down) {
  server.up = false;
  for (const auto& part : server.parts) {
    part->dispatcher.reset();
    part->committer.reset();
    part->notices.clear();
    part->spool.reset();
    part->epoch = 0;
    part->resting = false;
    part->gate.reset();
    part->wire.Lose();
  }
  server.term.reset();
  server.frozen_until = MonotonicTime();
  server.starts_at = now_ + down;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    it = it->second == &server ? waiting_.erase(it) : std::next(it);
  }
}

void ClusterWorld::Stop(Server& server, Duration down) {
  const ServerId id = server.id;
  Commit(server);
  if (!server.up) return;
  End(server, down);
  leases_.erase(id);
}

void ClusterWorld::Own(Server& server, Part& part) {
  Shard& shard = *shards_[part.number];
  ++shard.epoch;
  shard.owner = server.id;
  ++take_overs_;
  // A server that is frozen, or cut off, hears nothing of its requests.
  for (const auto& each : servers_) {
    if (each.get() == &server) continue;
    Part& other = *each->parts[part.number];
    if (other.epoch != 0) other.wire.Lose();
  }
  part.epoch = shard.epoch;
  part.resting = false;
  const auto lanes = part.spool->Lanes();
  if (!lanes.ok()) return broken_.push_back(lanes.status().ToString());
  std::vector<Destination>& destinations = part_destinations_[part.number];
  part.dispatcher = std::make_unique<Dispatcher>(
      *part.spool, *part.committer, *part.gate, delivery_,
      [this] { return std::uniform_real_distribution<>(0, 1)(random_); },
      nullptr);
  const absl::Status started =
      part.dispatcher->Start(destinations, *lanes, TimeOf(server),
                             static_cast<uint64_t>(100 + server.number));
  if (!started.ok()) broken_.push_back(started.ToString());
  part.next_step = now_;
  part.committer->LookForAppends(Committer::Look::kNew);
}

// What it delivered is stored, and nothing of it is written any more.
void ClusterWorld::HandBack(Server& server, Part& part) {
  if (!CommitPart(server, part)) return;
  for (Committer::Notices& each : std::exchange(part.notices, {})) {
    part.dispatcher->OnNotices(std::move(each), TimeOf(server));
  }
  if (!CommitPart(server, part)) return;
  part.dispatcher.reset();
  part.notices.clear();
  part.epoch = 0;
  part.resting = false;
  Shard& shard = *shards_[part.number];
  if (shard.owner == server.id) shard.owner = kNoServer;
  ++handed_back_;
}

void ClusterWorld::Renew(Server& server) {
  server.next_renewal = now_ + server.term->renewal();
  const auto lease = leases_.find(server.id);
  if (lease == leases_.end()) {
    ++fenced_;
    return End(server, milliseconds(Pick(10, 3'000)));
  }
  lease->second = now_ + kLease;
  server.term->Renewed(TimeOf(server).monotonic.time_since_epoch());
}

ShareView ClusterWorld::Shares() const {
  ShareView shares;
  for (const auto& [server, until] : leases_) shares.servers.push_back(server);
  for (const auto& shard : shards_) shares.owners.push_back(shard->owner);
  return shares;
}

void ClusterWorld::Poll(Server& server) {
  server.next_poll = now_ + kPoll;
  std::erase_if(leases_,
                [this](const auto& lease) { return lease.second < now_; });
  const ShareMoves moves = MovesOf(server.id, Shares());
  for (const int32_t shard : moves.claim) {
    Own(server, *server.parts[static_cast<size_t>(shard)]);
  }
  for (const auto& part : server.parts) {
    if (part->epoch == 0) continue;
    const auto shard = static_cast<int32_t>(part->number);
    part->resting = std::find(moves.give_back.begin(), moves.give_back.end(),
                              shard) != moves.give_back.end();
    if (part->resting && part->dispatcher->in_flight() == 0) {
      HandBack(server, *part);
      if (!server.up) return;
    } else {
      part->committer->LookForAppends(Committer::Look::kNew);
    }
  }
}

bool ClusterWorld::CommitPart(Server& server, Part& part) {
  CommitPending(*part.committer);
  if (part.committer->healthy()) return true;
  ++fenced_;
  End(server, milliseconds(Pick(10, 3'000)));
  return false;
}

void ClusterWorld::Commit(Server& server) {
  for (const auto& part : server.parts) {
    if (!CommitPart(server, *part)) return;
  }
}

void ClusterWorld::CommitElsewhere(const Part& part) {
  // One commit in between is as good as many.
  if (std::exchange(commits_elsewhere_, true)) return;
  for (const auto& each : servers_) {
    const Part& other = *each->parts[part.number];
    if (&other == &part || !Runs(*each) || !IsConnected(*each)) continue;
    if (other.epoch == 0) CommitPending(*other.committer);
  }
  commits_elsewhere_ = false;
}

void ClusterWorld::Turn(Server& server) {
  if (!server.up) {
    if (server.starts_at > now_) return;
    Boot(server);
  }
  if (!Runs(server)) return;
  // After a freeze the dispatcher's thread may come before that of the lease.
  if (Chance(0.3)) Deliver(server);
  if (IsConnected(server)) {
    if (server.next_renewal <= now_) Renew(server);
    if (server.up && server.next_poll <= now_) Poll(server);
    if (server.up && Chance(0.7)) Commit(server);
    if (!server.up) return;
    // Between a commit and what follows from it.
    const bool heard =
        std::any_of(server.parts.begin(), server.parts.end(),
                    [](const auto& part) { return !part->notices.empty(); });
    if (!peace_ && heard && Chance(rules_.freeze)) return Freeze(server);
  }
  Deliver(server);
}

void ClusterWorld::Deliver(Server& server) {
  for (const auto& part : server.parts) {
    if (part->dispatcher != nullptr) Deliver(server, *part);
  }
}

void ClusterWorld::Deliver(Server& server, Part& part) {
  std::vector<Committer::Notices> notices;
  notices.swap(part.notices);
  for (Committer::Notices& each : notices) {
    part.dispatcher->OnNotices(std::move(each), TimeOf(server));
  }
  for (const HeapResponse& response : part.gate->Wait(Duration(0))) {
    part.dispatcher->OnResponse(response, TimeOf(server));
  }
  part.next_step = now_ + kPoll;
  if (part.resting) return;
  part.next_step = now_ + part.dispatcher->Step(TimeOf(server));
}

void ClusterWorld::Live(MonotonicTime until) {
  while (now_ < until) {
    heap_.SetTime(now_);
    heap_.Advance();
    for (HeapResponse& response : heap_.Wait(Duration(0))) {
      for (const auto& each : servers_) {
        if (std::any_of(
                each->parts.begin(), each->parts.end(),
                [&](const auto& part) { return part->wire.Take(response); })) {
          break;
        }
      }
    }
    for (const auto& each : servers_) Turn(*each);
    MonotonicTime next = heap_.NextMoment();
    for (const auto& each : servers_) {
      if (!each->up) {
        next = std::min(next, each->starts_at);
      } else if (each->frozen_until > now_) {
        next = std::min(next, each->frozen_until);
      } else {
        next = std::min(next, each->next_poll);
        for (const auto& part : each->parts) {
          if (part->dispatcher == nullptr) continue;
          next = std::min(next, part->next_step);
        }
      }
    }
    next = std::min(next, now_ + milliseconds(Pick(1, 50)));
    now_ = std::clamp(next, now_ + milliseconds(1), until);
  }
}

void ClusterWorld::AppendChunk() {
  std::vector<Server*> ready;
  for (const auto& each : servers_) {
    if (Runs(*each) && IsConnected(*each)) ready.push_back(each.get());
  }
  if (ready.empty()) return;
  Server& server = *ready[static_cast<size_t>(
      Pick(0, static_cast<int64_t>(ready.size()) - 1))];
  const int64_t number = Pick(0, rules_.destinations - 1);
  const Destination& destination = destinations_[static_cast<size_t>(number)];
  const int64_t type_number = Pick(0, 2);
  const ObjectType type = kObjectTypes[static_cast<size_t>(type_number)];
  ChunkEncoder encoder(destination.encoding, TimeOf(server).wall);
  const int64_t count = Pick(1, rules_.max_items);
  std::vector<size_t> indices;
  std::vector<std::string> updated;
  for (int64_t i = 0; i < count; ++i) {
    Sent sent{.app = destination.app_id.digits()};
    const std::string who =
        absl::StrCat("w", Chance(0.5) ? 0 : Pick(0, rules_.identities - 1));
    if (type == ObjectType::kTrackEvent) {
      sent.v = ++next_item_;
      sent.key = absl::StrCat("key-", 100'000 + sent.v);
      v1::TrackEvent event;
      event.set_identity(who);
      event.set_event("bought");
      event.set_idempotency_key(sent.key);
      encoder.Add(event, {.field = "event"}, "");
    } else {
      const bool user = type == ObjectType::kUserProperties;
      sent.who = absl::StrCat(user ? "u/" : "a/", who);
      // Its caller sends the next update once this one is answered.
      const std::string name = absl::StrCat(sent.app, "/", sent.who);
      const auto waits = waiting_.find(name);
      if (waits != waiting_.end() && waits->second != &server) continue;
      waiting_[name] = &server;
      updated.push_back(name);
      sent.v = ++next_item_;
      if (user) {
        v1::UserProperties properties;
        properties.set_identity(who);
        (*properties.mutable_properties()->mutable_fields())["v"]
            .set_number_value(static_cast<double>(sent.v));
        encoder.Add(properties, {.field = "user"});
      } else {
        v1::AccountProperties properties;
        properties.set_account_id(who);
        (*properties.mutable_properties()->mutable_fields())["v"]
            .set_number_value(static_cast<double>(sent.v));
        encoder.Add(properties, {.field = "account"});
      }
    }
    indices.push_back(submitted_.size());
    submitted_.push_back(std::move(sent));
  }
  if (indices.empty()) return;
  const auto lane = static_cast<LaneId>(
      1 + number * static_cast<int64_t>(kObjectTypes.size()) + type_number);
  const size_t last = indices.back();
  Part& part = *server.parts[ShardOfDestination(destination)];
  const absl::Status queued = part.committer->Append(
      lane, encoder.Take(),
      [this, indices, updated, last](absl::StatusOr<SeqRange> range) {
        for (const std::string& name : updated) {
          // Unless a later one waits, or the server is gone.
          const bool later = std::any_of(
              submitted_.begin() + static_cast<std::ptrdiff_t>(last) + 1,
              submitted_.end(), [&name](const Sent& sent) {
                return absl::StrCat(sent.app, "/", sent.who) == name;
              });
          if (!later) waiting_.erase(name);
        }
        if (range.ok()) promised_.insert(indices.begin(), indices.end());
      });
  if (!queued.ok()) broken_.push_back(queued.ToString());
}

void ClusterWorld::Freeze(Server& server) {
  server.frozen_until = now_ + milliseconds(Pick(10, 3 * kLease.count()));
}

void ClusterWorld::Trouble() {
  for (const auto& each : servers_) {
    Server& server = *each;
    if (!Runs(server)) continue;
    if (Chance(rules_.crash)) {
      End(server, milliseconds(Pick(10, 3'000)));
    } else if (Chance(rules_.freeze)) {
      Freeze(server);
    } else if (Chance(rules_.cut)) {
      server.cut_until = now_ + milliseconds(Pick(10, 3 * kLease.count()));
    } else if (IsConnected(server) && Chance(rules_.stop)) {
      Stop(server, milliseconds(Pick(10, 3'000)));
    } else if (IsConnected(server) && Chance(rules_.leave)) {
      Stop(server, milliseconds(Pick(10, 3 * kLease.count())));
    }
  }
}

bool ClusterWorld::IsDrained() {
  size_t drained = 0;
  for (const auto& each : servers_) {
    if (!Runs(*each)) return false;
    for (const auto& part : each->parts) {
      if (part->epoch == 0 || part->epoch != shards_[part->number]->epoch) {
        continue;
      }
      if (part->dispatcher->queued_items() == 0 &&
          part->dispatcher->in_flight() == 0) {
        ++drained;
      }
    }
  }
  return drained == shards_.size();
}

// In the end every server delivers from its fair part.
void ClusterWorld::CheckShares() {
  for (const auto& each : servers_) {
    const auto owned = static_cast<size_t>(
        std::count_if(each->parts.begin(), each->parts.end(),
                      [](const auto& part) { return part->epoch != 0; }));
    const size_t least = shards_.size() / servers_.size();
    if (owned < least || owned > least + 1) {
      broken_.push_back(
          absl::StrCat("a server has ", owned, " shards of ", shards_.size()));
    }
  }
}

std::vector<std::string> ClusterWorld::Run() {
  for (int i = 0; i < rules_.chunks && broken_.empty(); ++i) {
    Trouble();
    AppendChunk();
    Live(now_ + Duration(Pick(0, rules_.max_pause.count())));
  }
  peace_ = true;
  heap_.faults = {.max_latency = rules_.faults.max_latency};
  for (int minutes = 0; minutes < 24 * 60; ++minutes) {
    Live(now_ + std::chrono::minutes(1));
    if (minutes > 1 && IsDrained()) break;
  }
  if (!IsDrained()) broken_.emplace_back("something is never delivered");
  Check();
  CheckShares();
  return broken_;
}

void ClusterWorld::Break(const std::vector<std::string>& promises) {
  broken_.insert(broken_.end(), promises.begin(), promises.end());
}

void ClusterWorld::Check() {
  Break(heap_.Verdict());
  std::map<std::string, int64_t> last_promised;
  std::set<std::string> known;
  for (size_t i = 0; i < submitted_.size(); ++i) {
    const Sent& sent = submitted_[i];
    const bool promised = promised_.contains(i);
    if (sent.key.empty()) {
      int64_t& last = last_promised[absl::StrCat(sent.app, "/", sent.who)];
      if (promised) last = std::max(last, sent.v);
      continue;
    }
    known.insert(sent.key);
    const auto app = heap_.events().find(sent.app);
    const bool delivered =
        app != heap_.events().end() && app->second.contains(sent.key);
    if (promised && !delivered) {
      broken_.push_back(absl::StrCat("lost: ", sent.key));
    }
  }
  Break(heap_.NotAmong(known));
  Break(heap_.OlderThan(last_promised));
}

}  // namespace heapsync
