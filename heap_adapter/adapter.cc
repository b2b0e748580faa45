#include "heap_adapter/adapter.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/pause_watch.h"
#include "heap_adapter/engine_maker.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "heap_adapter/spool_database.h"

namespace heapsync {
namespace {

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
  std::vector<SpoolDatabaseOptions> options;
  std::vector<JoinedDatabase> databases;
  PauseWatch pauses;
  PauseWatchThread pause_thread{pauses};
};

JoinedSpool::JoinedSpool(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

JoinedSpool::~JoinedSpool() = default;

absl::StatusOr<std::unique_ptr<JoinedSpool>> JoinedSpool::Join(
    const SharedSpoolOptions& options) {
  if (options.uris.size() > options.shards) {
    return absl::FailedPreconditionError(
        absl::StrCat("--spool names ", options.uris.size(),
                     " databases, which --spool_shards=", options.shards,
                     " leaves without shards"));
  }
  auto parts = std::make_unique<Parts>();
  parts->name = NewName();
  int64_t spool_id = 0;
  for (const std::string& uri : options.uris) {
    SpoolDatabaseOptions database{
        .uri = uri,
        .part = {.shards = static_cast<int32_t>(options.shards),
                 .databases = static_cast<int32_t>(options.uris.size()),
                 .place = static_cast<int32_t>(parts->databases.size()),
                 .spool_id = spool_id},
        .lease = options.lease,
        .patience = options.patience,
        .server_name = parts->name};
    auto connected = JoinedDatabase::Connect(database);
    if (!connected.ok()) return connected.status();
    spool_id = database.part.spool_id;
    parts->databases.push_back(*std::move(connected));
    parts->options.push_back(std::move(database));
  }
  // Only where all can be reached: others would make room for this server in
  // one database while it waits for another.
  for (size_t i = 0; i < parts->databases.size(); ++i) {
    const absl::Status taken = parts->databases[i].TakePlace(parts->options[i]);
    if (!taken.ok()) return taken;
  }
  return std::unique_ptr<JoinedSpool>(new JoinedSpool(std::move(parts)));
}

Adapter::Adapter(AdapterOptions options, AdapterEvents events)
    : options_(std::move(options)), events_(std::move(events)) {}

Adapter::~Adapter() {
  KeepShards();
  if (engines_ != nullptr) {
    // A database that is away is waited for, which the others are not for.
    std::stable_partition(databases_.begin(), databases_.end(),
                          [](const auto& each) { return each->usable(); });
    for (const auto& database : databases_) database->Leave();
  }
  engines_.reset();
}

absl::StatusOr<std::unique_ptr<Engine>> Adapter::StartOnFolder(
    const std::string& folder) {
  auto engine = maker_->Open(folder, options_.destinations, *folder_parts_);
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
  adapter->maker_ = std::make_unique<EngineMaker>(
      adapter->options_, adapter->events_, 1, "", nullptr);
  adapter->folder_parts_ = std::make_unique<EngineParts>();
  EngineParts& parts = *adapter->folder_parts_;
  adapter->maker_->OpenTransport(nullptr, parts);
  for (bool repaired = false;; repaired = true) {
    auto store = OpenRocksDbStore(
        {.path = folder, .on_damage = adapter->events_.damage});
    if (!store.ok()) return Failed("cannot open the spool", store.status());
    parts.store = *std::move(store);
    auto engine = adapter->StartOnFolder(folder);
    if (engine.ok()) {
      adapter->engines_ = std::make_unique<Engines>(*std::move(engine));
      return adapter;
    }
    if (!absl::IsDataLoss(engine.status()) || repaired) {
      return Failed("cannot read the spool", engine.status());
    }
    parts.measured.reset();
    parts.store.reset();
  }
}

absl::StatusOr<std::unique_ptr<Adapter>> Adapter::OpenShared(
    AdapterOptions options, AdapterEvents events,
    std::unique_ptr<JoinedSpool> joined) {
  std::unique_ptr<Adapter> adapter(
      new Adapter(std::move(options), std::move(events)));
  adapter->joined_ = std::move(joined->parts_);
  JoinedSpool::Parts& parts = *adapter->joined_;
  const size_t shards = adapter->options_.shared_spool.shards;
  adapter->maker_ = std::make_unique<EngineMaker>(
      adapter->options_, adapter->events_, shards, parts.name, &parts.pauses);
  const std::vector<DestinationConfig> destinations =
      Engines::Split(adapter->options_.destinations, shards);
  std::vector<std::unique_ptr<Engine>> engines(shards);
  for (size_t i = 0; i < parts.options.size(); ++i) {
    SpoolDatabase& database =
        *adapter->databases_.emplace_back(std::make_unique<SpoolDatabase>(
            std::move(parts.options[i]), std::move(parts.databases[i]),
            *adapter->maker_, adapter->events_));
    auto opened = database.OpenEngines(destinations);
    if (!opened.ok()) {
      return Failed("cannot read the spool", opened.status());
    }
    for (size_t own = 0; own < opened->size(); ++own) {
      const auto shard = static_cast<size_t>(
          database.part().ShardOf(static_cast<int32_t>(own)));
      engines[shard] = std::move((*opened)[own]);
    }
  }
  adapter->engines_ = std::make_unique<Engines>(std::move(engines),
                                                adapter->options_.destinations);
  for (const auto& database : adapter->databases_) {
    database->Begin(*adapter->engines_);
  }
  return adapter;
}

std::vector<bool> Adapter::OwnedShards() const {
  std::vector<bool> owned(shared() ? options_.shared_spool.shards : 0);
  for (const auto& database : databases_) {
    const std::vector<bool> there = database->OwnedShards();
    for (size_t own = 0; own < there.size(); ++own) {
      owned[static_cast<size_t>(
          database->part().ShardOf(static_cast<int32_t>(own)))] = there[own];
    }
  }
  return owned;
}

ClusterView Adapter::Cluster() const {
  ClusterView view;
  if (!shared()) return view;
  view.owners.resize(options_.shared_spool.shards);
  for (size_t i = 0; i < databases_.size(); ++i) {
    const SpoolDatabase& database = *databases_[i];
    view.databases.push_back(
        {.where = SpoolPlace(options_.shared_spool.uris[i]),
         .usable = database.usable(),
         .trouble = database.trouble(),
         .lease_left = database.LeaseLeft()});
    ClusterView there = database.Cluster();
    for (size_t own = 0; own < there.owners.size(); ++own) {
      view.owners[static_cast<size_t>(database.part().ShardOf(
          static_cast<int32_t>(own)))] = std::move(there.owners[own]);
    }
    // A server has one name in all databases.
    for (ClusterView::Member& member : there.members) {
      const auto known = std::find_if(
          view.members.begin(), view.members.end(),
          [&](const auto& each) { return each.name == member.name; });
      if (known == view.members.end()) {
        view.members.push_back(std::move(member));
      } else {
        known->shards += member.shards;
      }
    }
  }
  return view;
}

bool Adapter::usable() const {
  return !shared() ||
         std::any_of(databases_.begin(), databases_.end(),
                     [](const auto& database) {
                       return database->usable() && !database->waiting();
                     });
}

std::string Adapter::trouble() const {
  for (const auto& database : databases_) {
    std::string trouble = database->trouble();
    if (!trouble.empty()) return trouble;
  }
  return "";
}

bool Adapter::lost() const {
  return std::any_of(databases_.begin(), databases_.end(),
                     [](const auto& database) { return database->lost(); });
}

void Adapter::KeepShards() {
  for (const auto& database : databases_) database->AskToEnd();
  for (const auto& database : databases_) database->End();
}

}  // namespace heapsync
