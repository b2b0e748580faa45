#include "heap_adapter/spool_database.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/postgres/spool_uri.h"

namespace heapsync {
namespace {

// Interval at which the thread looks what there is to do.
constexpr std::chrono::milliseconds kTurn{50};
// Interval at which a server reads what the owners of other shards have
// published.
constexpr std::chrono::seconds kReadFigures{1};
// Of trying to take a place again.
constexpr std::chrono::milliseconds kJoinInterval{250};
// Of reading the shards where a place was taken a moment ago.
constexpr std::chrono::seconds kOpenPatience{30};
constexpr std::chrono::milliseconds kOpenInterval{250};
// Between one place and the next, at least; doubled while each lasts for less
// than a short stay.
constexpr std::chrono::seconds kStayJoined{5};
constexpr std::chrono::minutes kShortStay{1};
constexpr std::chrono::minutes kMaxStay{2};

// The patience of writes where there are several databases: calls that wait for
// one take places of those for the others, and engines that give up are
// replaced.
constexpr std::chrono::minutes kMaxPatience{1};

// "database 2 of the spool".
std::string NameOf(const SpoolPart& part) {
  return absl::StrCat("database ", part.place + 1, " of the spool");
}

// True for errors of a database that is away, full, or set up wrong at the
// moment.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
         absl::IsFailedPrecondition(status);
}

absl::Status Located(const SpoolDatabaseOptions& options,
                     const absl::Status& status) {
  if (status.ok() || options.part.databases == 1) return status;
  return absl::Status(status.code(), absl::StrCat(NameOf(options.part), " (",
                                                  SpoolPlace(options.uri),
                                                  "): ", status.message()));
}

}  // namespace

absl::StatusOr<JoinedDatabase> JoinedDatabase::Connect(
    SpoolDatabaseOptions& options) {
  auto connected = Membership::Connected(options.uri, options.part);
  if (!connected.ok()) return Located(options, connected.status());
  return JoinedDatabase{
      .sessions = std::make_unique<PostgresSessions>(options.uri),
      .connection = *std::move(connected),
      .lease = nullptr};
}

absl::Status JoinedDatabase::TakePlace(const SpoolDatabaseOptions& options) {
  auto taken = ServerLease::Take(*connection,
                                 {.uri = options.uri, .length = options.lease},
                                 options.server_name);
  if (!taken.ok()) return Located(options, taken.status());
  lease = *std::move(taken);
  return absl::OkStatus();
}

SpoolDatabase::SpoolDatabase(SpoolDatabaseOptions options,
                             JoinedDatabase joined, const EngineMaker& maker,
                             const AdapterEvents& events)
    : options_(std::move(options)), maker_(maker), events_(events) {
  tenures_.push_back(NewTenure(std::move(joined)));
  tenure_ = tenures_.back().get();
}

SpoolDatabase::~SpoolDatabase() { End(); }

std::unique_ptr<SpoolDatabase::Tenure> SpoolDatabase::NewTenure(
    JoinedDatabase joined) const {
  auto made = std::make_unique<Tenure>();
  made->joined = std::move(joined);
  ServerLease& lease = *made->joined.lease;
  for (int32_t own = 0; own < options_.part.OwnShards(); ++own) {
    Shard& shard = *made->shards.emplace_back(std::make_unique<Shard>());
    maker_.OpenTransport(
        [&shard, &lease] { return shard.owned && lease.Held(); }, shard.parts);
    PostgresStoreOptions store{.shard = own,
                               .server = lease.id(),
                               .write_patience = options_.patience,
                               .on_trouble = events_.write_waits,
                               .on_fenced = [&lease] { lease.Lose(); }};
    if (has_neighbours()) {
      store.write_patience =
          std::min<std::chrono::milliseconds>(options_.patience, kMaxPatience);
      store.on_trouble = [this](const std::string& trouble) {
        events_.write_waits(absl::StrCat(NameOf(options_.part), ": ", trouble));
      };
    }
    auto opened = std::make_unique<PostgresStore>(*made->joined.sessions,
                                                  std::move(store));
    shard.store = opened.get();
    shard.parts.store = std::move(opened);
  }
  return made;
}

absl::StatusOr<std::vector<std::unique_ptr<Engine>>>
SpoolDatabase::OpenEnginesOf(
    Tenure& of,
    const std::function<DestinationConfig(size_t shard)>& destinations) const {
  std::vector<std::unique_ptr<Engine>> engines;
  for (size_t own = 0; own < of.shards.size(); ++own) {
    auto engine = OpenEngine(destinations(InSpool(own)), of.shards[own]->parts);
    if (!engine.ok()) return Located(options_, engine.status());
    engines.push_back(*std::move(engine));
  }
  return engines;
}

// The database was there a moment ago, when a place was taken.
absl::StatusOr<std::unique_ptr<Engine>> SpoolDatabase::OpenEngine(
    const DestinationConfig& destinations, EngineParts& parts) const {
  const MonotonicTime give_up = SystemClock().Read().monotonic + kOpenPatience;
  while (true) {
    auto engine = maker_.Open("", destinations, parts);
    if (!absl::IsUnavailable(engine.status()) ||
        SystemClock().Read().monotonic >= give_up) {
      return engine;
    }
    MutexLock lock(mutex_);
    if (!ending_) wake_.WaitFor(mutex_, kOpenInterval);
    if (ending_) return engine;
  }
}

absl::StatusOr<std::vector<std::unique_ptr<Engine>>> SpoolDatabase::OpenEngines(
    const std::vector<DestinationConfig>& destinations) {
  return OpenEnginesOf(tenure(),
                       [&](size_t shard) { return destinations[shard]; });
}

void SpoolDatabase::Begin(Engines& engines) {
  engines_ = &engines;
  OpenMembership(tenure());
  thread_ = std::thread([this] { Run(); });
}

void SpoolDatabase::OpenMembership(Tenure& of) {
  of.membership = std::make_unique<Membership>(
      options_.uri, options_.part, std::move(of.joined.connection),
      *of.joined.lease,
      Membership::Hooks{
          .look =
              [this](int32_t own) {
                // One that begins to deliver looks by itself.
                Engine& engine = EngineOf(static_cast<size_t>(own));
                if (engine.delivers()) engine.LookAtOthers();
              },
          .away = [this](const absl::Status& why) { SetAway(why); }});
}

// A stop would wait for it, and the other databases with it.
void SpoolDatabase::LosePatience() {
  if (!has_neighbours() || usable()) return;
  for (const auto& shard : tenure().shards) shard->store->LosePatience();
}

void SpoolDatabase::AskToEnd() {
  LosePatience();
  {
    MutexLock lock(mutex_);
    ending_ = true;
  }
  wake_.NotifyOne();
}

void SpoolDatabase::End() {
  AskToEnd();
  if (thread_.joinable()) thread_.join();
  Tenure& present = tenure();
  if (present.membership != nullptr) present.membership->Stop();
  if (engines_ == nullptr) return;
  for (size_t own = 0; own < present.shards.size(); ++own) {
    if (std::exchange(present.shards[own]->resting, false)) {
      EngineOf(own).GoOnSending();
    }
  }
}

void SpoolDatabase::Leave() {
  Tenure& present = tenure();
  if (present.membership != nullptr) present.membership->Stop();
  LosePatience();
  for (size_t own = 0; own < present.shards.size(); ++own) {
    Shard& shard = *present.shards[own];
    shard.owned = false;
    shard.resting = false;
    MutexLock lock(engines_->MutexOf(InSpool(own)));
    EngineOf(own).Stop();
    // The connections to Heap.
    shard.parts.gated.reset();
    shard.parts.transport.reset();
  }
  present.joined.lease->GiveUp();
  present.joined.sessions->Retire();
}

std::chrono::nanoseconds SpoolDatabase::LeaseLeft() const {
  return tenure().joined.lease->Left();
}

std::vector<bool> SpoolDatabase::OwnedShards() const {
  std::vector<bool> owned;
  for (const auto& shard : tenure().shards) owned.push_back(shard->owned);
  return owned;
}

ClusterView SpoolDatabase::Cluster() const {
  const Tenure& present = tenure();
  ClusterView view;
  if (present.membership != nullptr) view = present.membership->cluster();
  return view;
}

bool SpoolDatabase::waiting() const {
  const Tenure& present = tenure();
  return std::any_of(present.shards.begin(), present.shards.end(),
                     [](const auto& shard) { return shard->store->waiting(); });
}

bool SpoolDatabase::usable() const {
  const Tenure& present = tenure();
  return joined_ && present.membership != nullptr &&
         present.membership->reachable();
}

std::string SpoolDatabase::trouble() const {
  if (joined_ && !lost_) return tenure().membership->error();
  MutexLock lock(mutex_);
  return trouble_;
}

void SpoolDatabase::SetAway(const absl::Status& why) {
  if (!has_neighbours()) return;
  const std::string for_callers = absl::StrCat(
      NameOf(options_.part), " is away, and with it this destination");
  bool is_news = false;
  for (int32_t own = 0; own < options_.part.OwnShards(); ++own) {
    const size_t shard = InSpool(static_cast<size_t>(own));
    is_news = is_news || engines_->CheckShard(shard).ok();
    engines_->SetAway(shard, for_callers);
  }
  if (is_news) {
    events_.database_away(options_.part.place, SpoolPlace(options_.uri), why);
  }
}

void SpoolDatabase::SetBack() {
  bool is_news = false;
  for (size_t own = 0; own < tenure().shards.size(); ++own) {
    if (engines_->CheckShard(InSpool(own)).ok()) continue;
    is_news = true;
    // Left to the next turn.
    if (!engines_->SetBack(InSpool(own)).ok()) return;
    if (tenure().shards[own]->resting) EngineOf(own).StopSending();
  }
  // It may have gone away meanwhile.
  if (!usable()) return SetAway(absl::UnavailableError(trouble()));
  if (is_news) {
    events_.database_back(options_.part.place, SpoolPlace(options_.uri));
  }
}

void SpoolDatabase::Run() {
  while (true) {
    Turn(SystemClock().Read().monotonic);
    MutexLock lock(mutex_);
    if (!ending_) wake_.WaitFor(mutex_, kTurn);
    if (ending_) return;
  }
}

absl::Status SpoolDatabase::CheckPlace() const {
  if (tenure().joined.lease->lost()) {
    return absl::AbortedError("others may own the shards of this server");
  }
  for (size_t own = 0; own < tenure().shards.size(); ++own) {
    const Engine& engine = EngineOf(own);
    if (!engine.healthy()) return absl::DataLossError(engine.failure());
  }
  return absl::OkStatus();
}

void SpoolDatabase::Turn(MonotonicTime now) {
  if (lost_) return;
  if (joined_) {
    absl::Status status = CheckPlace();
    if (status.ok()) status = Follow(now);
    if (status.ok()) return;
    {
      MutexLock lock(mutex_);
      trouble_ = std::string(status.message());
    }
    if (!has_neighbours()) {
      lost_ = true;
      return;
    }
    joined_ = false;
    // Each place costs memory: one that is lost soon is not taken again soon.
    stay_ = now - joined_at_ < kShortStay
                ? std::min<Duration>(2 * stay_, kMaxStay)
                : Duration(kStayJoined);
    next_join_ = std::max(next_join_, joined_at_ + stay_);
    SetAway(status);
    events_.database_left(options_.part.place, SpoolPlace(options_.uri),
                          status);
    Leave();
  }
  if (now < next_join_) return;
  const absl::Status again = JoinAgain();
  if (again.ok()) {
    joined_at_ = now;
    return;
  }
  next_join_ = now + kJoinInterval;
  MutexLock lock(mutex_);
  trouble_ = std::string(again.message());
}

absl::Status SpoolDatabase::JoinAgain() {
  auto joined = JoinedDatabase::Connect(options_);
  if (!joined.ok()) return joined.status();
  if (absl::Status s = joined->TakePlace(options_); !s.ok()) return s;
  std::unique_ptr<Tenure> next = NewTenure(*std::move(joined));
  auto engines = OpenEnginesOf(
      *next, [this](size_t shard) { return engines_->ConfigFor(shard); });
  if (!engines.ok()) return engines.status();
  for (size_t own = 0; own < engines->size(); ++own) {
    engines_->Replace(InSpool(own), std::move((*engines)[own]));
  }
  tenures_.push_back(std::move(next));
  OpenMembership(*tenures_.back());
  tenure_.store(tenures_.back().get(), std::memory_order_release);
  joined_ = true;
  return absl::OkStatus();
}

absl::Status SpoolDatabase::Follow(MonotonicTime now) {
  if (!usable()) return absl::OkStatus();
  if (has_neighbours()) SetBack();
  if (absl::Status s = TakeClaims(); !s.ok()) return s;
  if (absl::Status s = MoveShards(); !s.ok()) return s;
  ReadFigures(now);
  return absl::OkStatus();
}

absl::Status SpoolDatabase::TakeClaims() {
  Tenure& present = tenure();
  for (const ShardClaim& claim : present.membership->TakeClaims()) {
    present.shards[static_cast<size_t>(claim.shard)]->claim = claim;
  }
  for (size_t i = 0; i < present.shards.size() && usable(); ++i) {
    std::optional<ShardClaim>& claim = present.shards[next_taken_]->claim;
    // After one that cannot be read, the next call begins with another one.
    next_taken_ = (next_taken_ + 1) % present.shards.size();
    if (!claim.has_value()) continue;
    const absl::Status taken = Take(*claim);
    if (MayPass(taken)) break;
    if (!taken.ok()) return taken;
    claim.reset();
  }
  return absl::OkStatus();
}

absl::Status SpoolDatabase::Take(const ShardClaim& claim) {
  const auto own = static_cast<size_t>(claim.shard);
  Shard& shard = *tenure().shards[own];
  shard.store->Own(claim);
  shard.owned = true;
  shard.resting = false;
  {
    MutexLock lock(engines_->MutexOf(InSpool(own)));
    if (absl::Status s = EngineOf(own).Deliver(); !s.ok()) return s;
  }
  events_.shard_taken(static_cast<int32_t>(InSpool(own)), claim.epoch);
  return absl::OkStatus();
}

absl::Status SpoolDatabase::MoveShards() {
  Tenure& present = tenure();
  const std::vector<int32_t> surplus = present.membership->ToGiveBack();
  for (size_t own = 0; own < present.shards.size(); ++own) {
    Shard& shard = *present.shards[own];
    Engine& engine = EngineOf(own);
    if (!engine.delivers()) continue;
    const bool goes = std::find(surplus.begin(), surplus.end(),
                                static_cast<int32_t>(own)) != surplus.end();
    if (goes && !shard.resting) engine.StopSending();
    if (!goes && shard.resting) engine.GoOnSending();
    shard.resting = goes;
    // It would wait for the database.
    if (!goes || !engine.IsAtRest() || !usable()) continue;
    if (absl::Status s = HandBack(own); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status SpoolDatabase::HandBack(size_t own) {
  Shard& shard = *tenure().shards[own];
  Engine& engine = EngineOf(own);
  {
    MutexLock lock(engines_->MutexOf(InSpool(own)));
    if (absl::Status s = engine.StopDelivering(); !s.ok()) return s;
  }
  shard.resting = false;
  shard.owned = false;
  shard.store->Disown();
  // Writes that began before are through after this.
  if (absl::Status s = engine.Barrier(); !s.ok()) return s;
  tenure().membership->Release(static_cast<int32_t>(own));
  events_.shard_handed_back(static_cast<int32_t>(InSpool(own)));
  return absl::OkStatus();
}

void SpoolDatabase::ReadFigures(MonotonicTime now) {
  if (now - figures_read_at_ < kReadFigures || !usable()) return;
  figures_read_at_ = now;
  for (size_t own = 0; own < tenure().shards.size() && usable(); ++own) {
    Engine& engine = EngineOf(own);
    if (engine.delivers()) continue;
    MutexLock lock(engines_->MutexOf(InSpool(own)));
    // Bounds stay as they were if it fails.
    static_cast<void>(engine.ReadFigures());
  }
}

}  // namespace heapsync
