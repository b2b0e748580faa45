#include "heap_adapter/adapter.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/pause_watch.h"
#include "heap_adapter/membership.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/postgres_store.h"
#include "heap_adapter/spool/postgres/server_lease.h"
#include "heap_adapter/spool/postgres/sessions.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "heap_adapter/transport/curl_transport.h"
#include "heap_adapter/transport/gated_transport.h"

namespace heapsync {
namespace {

// Each shard's part of the memory and the requests that one engine may have:
// more than its share, since a busy destination is in one shard alone.
constexpr int kPartOfOne = 4;

// Interval at which a server reads what the owners of other shards have
// published.
constexpr std::chrono::seconds kReadFigures{1};

absl::Status Failed(absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(what, ": ", status.message()));
}

// Unique, and tells a person where to look.
std::string NewName() {
  char host[256] = "unknown";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "/", getpid(), "/",
                      absl::Hex(std::random_device()(), absl::kZeroPad8));
}

}  // namespace

struct JoinedSpool::Parts {
  std::string name;  // of this server, for the logs of others
  std::unique_ptr<PostgresSessions> sessions;
  std::unique_ptr<PostgresConnection> connection;
  std::unique_ptr<ServerLease> lease;
  PauseWatch pauses;
  PauseWatchThread pause_thread{pauses};
};

JoinedSpool::JoinedSpool(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

JoinedSpool::~JoinedSpool() = default;

absl::StatusOr<std::unique_ptr<JoinedSpool>> JoinedSpool::Join(
    const SharedSpoolOptions& options) {
  auto connection = Membership::Connected(options.uri, options.shards);
  if (!connection.ok()) return connection.status();
  auto parts = std::make_unique<Parts>();
  parts->name = NewName();
  parts->connection = *std::move(connection);
  auto lease = ServerLease::Take(*parts->connection,
                                 {.uri = options.uri, .length = options.lease},
                                 parts->name);
  if (!lease.ok()) return lease.status();
  parts->lease = *std::move(lease);
  parts->sessions = std::make_unique<PostgresSessions>(options.uri);
  return std::unique_ptr<JoinedSpool>(new JoinedSpool(std::move(parts)));
}

// A shard of a shared spool, or the spool in a folder.
struct Adapter::Shard {
  std::atomic<bool> owned{false};
  std::optional<ShardClaim> claim;  // from which nothing is delivered so far
  bool resting = false;  // it is handed back once its requests have ended
  std::unique_ptr<CurlTransport> transport;
  std::unique_ptr<GatedTransport> gated;
  std::unique_ptr<Store> store;
  PostgresStore* shared = nullptr;  // `store`, if the spool is shared
  std::unique_ptr<MeasuredStore> measured;
};

Adapter::Adapter(AdapterOptions options, AdapterEvents events)
    : options_(std::move(options)), events_(std::move(events)) {}

Adapter::~Adapter() {
  membership_.reset();
  engines_.reset();
  shards_.clear();
}

EngineOptions Adapter::EngineOptionsFor(const std::string& folder,
                                        DestinationConfig destinations) const {
  const std::string name = joined_ == nullptr ? "" : joined_->name;
  EngineOptions options{
      .destinations = std::move(destinations),
      .delivery = options_.delivery,
      .commit = {.pauses = joined_ == nullptr ? nullptr : &joined_->pauses},
      .spool_path = folder,
      .min_free_disk_bytes = options_.min_free_disk_bytes,
      .on_step = events_.step,
      .server_name = name,
      .on_command = [this, name](const ObeyedCommand& obeyed) {
        // Its own are logged where they are answered.
        if (obeyed.command.server == name ||
            obeyed.command.kind == CommandRecord::Kind::kFlush) {
          return;
        }
        events_.command(obeyed);
      }};
  // The engines among which the bounds are divided.
  const size_t parts = shards_.size();
  if (static_cast<int>(parts) <= kPartOfOne) return options;
  options.commit.max_pending_bytes /= kPartOfOne;
  options.commit.max_pending_chunks /= kPartOfOne;
  DeliveryRules& rules = options.delivery;
  rules.max_in_flight /= kPartOfOne;
  rules.max_in_flight_per_region /= kPartOfOne;
  rules.overtaking.max_filter_bytes /= kPartOfOne;
  rules.max_attempts_kept /= parts;
  return options;
}

void Adapter::OpenTransport(std::function<bool()> may_send,
                            Shard& shard) const {
  CurlTransportOptions options;
  options.may_send = may_send;
  options.extra_roots = options_.extra_roots;
  options.proxy = options_.proxy;
  options.proxy_user = options_.proxy_user;
  options.proxy_password = options_.proxy_password;
  options.user_agent = options_.user_agent;
  shard.transport = std::make_unique<CurlTransport>(std::move(options));
  if (may_send == nullptr) return;
  shard.gated =
      std::make_unique<GatedTransport>(*shard.transport, std::move(may_send));
}

absl::StatusOr<std::unique_ptr<Engine>> Adapter::OpenEngine(
    const std::string& folder, DestinationConfig destinations, Shard& shard) {
  shard.measured = std::make_unique<MeasuredStore>(*shard.store, events_.write);
  Transport* transport = shard.transport.get();
  if (shard.gated != nullptr) transport = shard.gated.get();
  return Engine::Open(*shard.measured, *transport, SystemClock(),
                      EngineOptionsFor(folder, std::move(destinations)),
                      events_.attempt, events_.expiry);
}

absl::StatusOr<std::unique_ptr<Engine>> Adapter::StartOnFolder(
    const std::string& folder, Shard& shard) {
  auto engine = OpenEngine(folder, options_.destinations, shard);
  if (!engine.ok()) return engine;
  if (absl::Status s = (*engine)->Deliver(); !s.ok()) return s;
  return engine;
}

absl::StatusOr<std::unique_ptr<Adapter>> Adapter::OpenFolder(
    AdapterOptions options, AdapterEvents events) {
  std::error_code made;
  std::filesystem::create_directories(options.data_folder, made);
  if (made) {
    return Failed("cannot make the data folder",
                  absl::InternalError(
                      absl::StrCat(options.data_folder, ": ", made.message())));
  }
  const std::string folder = options.data_folder + "/spool";
  std::unique_ptr<Adapter> adapter(
      new Adapter(std::move(options), std::move(events)));
  Shard& shard = *adapter->shards_.emplace_back(std::make_unique<Shard>());
  shard.owned = true;
  adapter->OpenTransport(nullptr, shard);
  for (bool repaired = false;; repaired = true) {
    auto store = OpenRocksDbStore(
        {.path = folder, .on_damage = adapter->events_.damage});
    if (!store.ok()) return Failed("cannot open the spool", store.status());
    shard.store = *std::move(store);
    auto engine = adapter->StartOnFolder(folder, shard);
    if (engine.ok()) {
      adapter->engines_ = std::make_unique<Engines>(*std::move(engine));
      return adapter;
    }
    if (!absl::IsDataLoss(engine.status()) || repaired) {
      return Failed("cannot read the spool", engine.status());
    }
    shard.measured.reset();
    shard.store.reset();
  }
}

void Adapter::OpenStore(int32_t number, Shard& shard) {
  ServerLease& lease = *joined_->lease;
  auto store = std::make_unique<PostgresStore>(
      *joined_->sessions,
      PostgresStoreOptions{.shard = number,
                           .server = lease.id(),
                           .write_patience = options_.shared_spool.patience,
                           .on_trouble = events_.write_waits,
                           .on_fenced = [&lease] { lease.Lose(); }});
  shard.shared = store.get();
  shard.store = std::move(store);
}

absl::StatusOr<std::unique_ptr<Adapter>> Adapter::OpenShared(
    AdapterOptions options, AdapterEvents events,
    std::unique_ptr<JoinedSpool> joined) {
  std::unique_ptr<Adapter> adapter(
      new Adapter(std::move(options), std::move(events)));
  adapter->joined_ = std::move(joined->parts_);
  const SharedSpoolOptions& spool = adapter->options_.shared_spool;
  for (uint32_t i = 0; i < spool.shards; ++i) {
    adapter->shards_.push_back(std::make_unique<Shard>());
  }
  std::vector<DestinationConfig> parts =
      Engines::Split(adapter->options_.destinations, adapter->shards_.size());
  std::vector<std::unique_ptr<Engine>> engines;
  for (size_t number = 0; number < adapter->shards_.size(); ++number) {
    Shard& shard = *adapter->shards_[number];
    adapter->OpenTransport(
        [&shard, &lease = *adapter->joined_->lease] {
          return shard.owned && lease.Held();
        },
        shard);
    adapter->OpenStore(static_cast<int32_t>(number), shard);
    auto engine = adapter->OpenEngine("", std::move(parts[number]), shard);
    if (!engine.ok()) return Failed("cannot read the spool", engine.status());
    engines.push_back(*std::move(engine));
  }
  adapter->engines_ = std::make_unique<Engines>(std::move(engines),
                                                adapter->options_.destinations);
  adapter->membership_ = std::make_unique<Membership>(
      spool.uri, spool.shards, std::move(adapter->joined_->connection),
      *adapter->joined_->lease, *adapter->engines_);
  return adapter;
}

std::chrono::nanoseconds Adapter::LeaseLeft() const {
  return joined_ == nullptr ? std::chrono::nanoseconds::zero()
                            : joined_->lease->Left();
}

std::vector<bool> Adapter::OwnedShards() const {
  std::vector<bool> owned;
  for (const auto& shard : shards_) owned.push_back(shard->owned);
  return owned;
}

ClusterView Adapter::Cluster() const {
  return shared() ? membership_->cluster() : ClusterView();
}

bool Adapter::waiting() const {
  return std::any_of(shards_.begin(), shards_.end(), [](const auto& shard) {
    return shard->shared != nullptr && shard->shared->waiting();
  });
}

bool Adapter::reachable() const {
  return !shared() || membership_->reachable();
}

std::string Adapter::trouble() const {
  return shared() ? membership_->error() : "";
}

bool Adapter::lost() const { return shared() && joined_->lease->lost(); }

absl::Status Adapter::Follow(MonotonicTime now) {
  if (!shared()) return absl::OkStatus();
  if (absl::Status s = TakeClaims(); !s.ok()) return s;
  const std::vector<int32_t> surplus = membership_->ToGiveBack();
  for (size_t number = 0; number < shards_.size(); ++number) {
    Shard& shard = *shards_[number];
    Engine& engine = (*engines_)[number];
    if (!engine.delivers()) continue;
    const bool goes = std::find(surplus.begin(), surplus.end(),
                                static_cast<int32_t>(number)) != surplus.end();
    if (goes && !shard.resting) engine.StopSending();
    if (!goes && shard.resting) engine.GoOnSending();
    shard.resting = goes;
    // It would wait for the database.
    if (!goes || !engine.IsAtRest() || !reachable()) continue;
    if (absl::Status s = HandBack(number); !s.ok()) return s;
  }
  ReadFigures(now);
  return absl::OkStatus();
}

void Adapter::ReadFigures(MonotonicTime now) {
  if (now - figures_read_at_ < kReadFigures || !reachable()) return;
  figures_read_at_ = now;
  for (size_t shard = 0; shard < engines_->size() && reachable(); ++shard) {
    Engine& engine = (*engines_)[shard];
    // Bounds stay as they were if it fails.
    if (!engine.delivers()) static_cast<void>(engine.ReadFigures());
  }
}

void Adapter::KeepShards() {
  if (!shared()) return;
  membership_->Stop();
  for (size_t number = 0; number < shards_.size(); ++number) {
    if (std::exchange(shards_[number]->resting, false)) {
      (*engines_)[number].GoOnSending();
    }
  }
}

absl::Status Adapter::TakeClaims() {
  for (const ShardClaim& claim : membership_->TakeClaims()) {
    shards_[static_cast<size_t>(claim.shard)]->claim = claim;
  }
  for (size_t i = 0; i < shards_.size() && membership_->reachable(); ++i) {
    std::optional<ShardClaim>& claim = shards_[next_taken_]->claim;
    // After one that cannot be read, the next call begins with another one.
    next_taken_ = (next_taken_ + 1) % shards_.size();
    if (!claim.has_value()) continue;
    const absl::Status taken = Take(*claim);
    if (absl::IsUnavailable(taken)) break;
    if (!taken.ok()) return taken;
    claim.reset();
  }
  return absl::OkStatus();
}

absl::Status Adapter::Take(const ShardClaim& claim) {
  const auto number = static_cast<size_t>(claim.shard);
  Shard& shard = *shards_[number];
  shard.shared->Own(claim);
  shard.owned = true;
  shard.resting = false;
  if (absl::Status s = (*engines_)[number].Deliver(); !s.ok()) return s;
  events_.shard_taken(claim.shard, claim.epoch);
  return absl::OkStatus();
}

absl::Status Adapter::HandBack(size_t number) {
  Shard& shard = *shards_[number];
  Engine& engine = (*engines_)[number];
  if (absl::Status s = engine.StopDelivering(); !s.ok()) return s;
  shard.resting = false;
  shard.owned = false;
  shard.shared->Disown();
  // Writes that began before are through after this.
  if (absl::Status s = engine.Barrier(); !s.ok()) return s;
  const auto released = static_cast<int32_t>(number);
  membership_->Release(released);
  events_.shard_handed_back(released);
  return absl::OkStatus();
}

}  // namespace heapsync
