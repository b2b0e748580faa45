#include "server/adapter.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "server/log/call_log.h"
#include "server/log/log.h"

namespace heapsync {
namespace {

// Each shard's part of the memory and the requests that one engine may have:
// more than its share, since a busy destination is in one shard alone.
constexpr int kPartOfOne = 4;

int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration)
      .count();
}

void LogAttempt(const AttemptEvent& event) {
  LogSeverity severity = LogSeverity::kWarning;
  if (event.verdict.response_class == ResponseClass::kDelivered) {
    severity = LogSeverity::kDebug;
  } else if (event.verdict.response_class == ResponseClass::kMisconfigured) {
    severity = LogSeverity::kError;
  }
  std::optional<int64_t> next_try;
  if (event.next_try_in.has_value()) {
    next_try = Milliseconds(*event.next_try_in);
  }
  std::optional<std::string> trace_id;
  std::optional<std::string> span_id;
  if (event.trace.has_value()) {
    trace_id = event.trace->context.TraceId();
    span_id = SpanId(event.trace->span);
  }
  Log(severity, "attempt ended",
      {{"destination", event.destination.name},
       {"type", Name(event.type)},
       {"batch", event.batch_id},
       {"attempt", event.attempt_id},
       {"tries", event.tries},
       {"items", event.items.size()},
       {"class", Name(event.verdict.response_class)},
       {"summary", event.verdict.summary},
       {"latency_ms", Milliseconds(event.latency)},
       {"oldest_item_age_ms", Milliseconds(event.oldest_item_age)},
       {"next_try_in_ms", next_try},
       {"trace_id", trace_id},
       {"span_id", span_id}});
}

void LogExpiry(const ExpiryEvent& event) {
  Log(LogSeverity::kError, "items expired",
      {{"destination", event.destination.name},
       {"type", Name(event.type)},
       {"items", event.items}});
}

absl::Status Failed(absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(what, ": ", status.message()));
}

absl::StatusOr<std::unique_ptr<Store>> OpenSpoolStore(const std::string& path) {
  return OpenRocksDbStore(
      {.path = path, .on_damage = [](const std::string& line) {
         Log(LogSeverity::kError, "spool damage", {{"detail", line}});
       }});
}

// `parts`: engines among which the bounds are divided.
EngineOptions OptionsOf(const ServerConfig& config,
                        const std::string& spool_path, const std::string& name,
                        DestinationConfig destinations, size_t parts,
                        const PauseWatch& pauses,
                        DispatcherMetrics& dispatcher) {
  EngineOptions options{
      .destinations = std::move(destinations),
      .delivery = {.region_urls = {config.heap_us_url, config.heap_eu_url},
                   .max_retry_after = config.max_retry_after,
                   .max_age = config.max_age,
                   .send_traceparent = config.send_traceparent},
      .commit = {.pauses = &pauses},
      .spool_path = spool_path,
      .min_free_disk_bytes = config.min_free_disk_bytes,
      .on_step =
          [&dispatcher](Duration duration) { dispatcher.OnStep(duration); },
      .server_name = name,
      .on_command =
          [name](const ObeyedCommand& obeyed) {
            // Its own are logged where they are answered.
            if (obeyed.command.server == name ||
                obeyed.command.kind == CommandRecord::Kind::kFlush) {
              return;
            }
            LogObeyedCommand({.call = Name(obeyed.command.kind),
                              .server = obeyed.command.server,
                              .caller = obeyed.command.caller,
                              .destination = obeyed.command.destination},
                             obeyed.status);
          }};
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

CurlTransportOptions TransportOptionsOf(const HeapWay& way,
                                        std::function<bool()> may_send) {
  CurlTransportOptions options;
  options.may_send = std::move(may_send);
  options.extra_roots = way.extra_roots;
  options.proxy = way.proxy;
  options.proxy_user = way.proxy_user;
  options.proxy_password = way.proxy_password;
  options.user_agent = "heapsync/" HEAPSYNC_VERSION;
  return options;
}

}  // namespace

Adapter::Adapter(const ServerConfig& config, const std::string& folder)
    : with_metrics_(config.metrics_destinations),
      attempts_(with_metrics_),
      spool_(folder, config.min_free_disk_bytes) {
  for (const Destination& destination : config.destinations.destinations) {
    with_metrics_.HasOwn(destination.name);
  }
}

Adapter::~Adapter() {
  engines_.reset();
  shards_.clear();
  lease_.reset();
}

std::vector<const prometheus::Collectable*> Adapter::metrics() const {
  return {&spool_, &attempts_, &dispatcher_};
}

Ownership Adapter::ownership() const {
  Ownership ownership{.lease_left = lease_->Left(), .shards = {}};
  for (const auto& shard : shards_) ownership.shards.push_back(shard->owned);
  return ownership;
}

bool Adapter::waiting() const {
  return std::any_of(shards_.begin(), shards_.end(), [](const auto& shard) {
    return shard->shared != nullptr && shard->shared->waiting();
  });
}

absl::StatusOr<std::unique_ptr<Engine>> Adapter::OpenEngine(
    const ServerConfig& config, const std::string& folder,
    DestinationConfig destinations, Shard& shard) {
  shard.measured = std::make_unique<MeasuredStore>(*shard.store, spool_);
  Transport* transport = shard.transport.get();
  if (shard.gated != nullptr) transport = shard.gated.get();
  return Engine::Open(
      *shard.measured, *transport, SystemClock(),
      OptionsOf(config, folder, name_, std::move(destinations), shards_.size(),
                pauses_, dispatcher_),
      [this](const AttemptEvent& event) {
        LogAttempt(event);
        attempts_.OnAttempt(event);
      },
      LogExpiry);
}

absl::StatusOr<std::unique_ptr<Engine>> Adapter::StartOnFolder(
    const ServerConfig& config, const std::string& folder, Shard& shard) {
  auto engine = OpenEngine(config, folder, config.destinations, shard);
  if (!engine.ok()) return engine;
  if (absl::Status s = (*engine)->Deliver(); !s.ok()) return s;
  return engine;
}

absl::StatusOr<std::unique_ptr<Adapter>> Adapter::OpenFolder(
    const ServerConfig& config) {
  const std::string folder = config.data_dir + "/spool";
  std::error_code made;
  std::filesystem::create_directories(config.data_dir, made);
  if (made) {
    return Failed("cannot make the data folder",
                  absl::InternalError(
                      absl::StrCat(config.data_dir, ": ", made.message())));
  }
  std::unique_ptr<Adapter> adapter(new Adapter(config, folder));
  Shard& shard = *adapter->shards_.emplace_back(std::make_unique<Shard>());
  shard.owned = true;
  shard.transport = std::make_unique<CurlTransport>(
      TransportOptionsOf(config.heap_way, nullptr));
  for (bool repaired = false;; repaired = true) {
    auto store = OpenSpoolStore(folder);
    if (!store.ok()) return Failed("cannot open the spool", store.status());
    shard.store = *std::move(store);
    auto engine = adapter->StartOnFolder(config, folder, shard);
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

absl::StatusOr<std::unique_ptr<Adapter>> Adapter::OpenShared(
    const ServerConfig& config, const std::string& name,
    std::unique_ptr<ServerLease> lease) {
  std::unique_ptr<Adapter> adapter(new Adapter(config, ""));
  adapter->name_ = name;
  adapter->sessions_ = std::make_unique<PostgresSessions>(config.spool);
  adapter->lease_ = std::move(lease);
  adapter->pause_thread_.emplace(adapter->pauses_);
  for (uint32_t i = 0; i < config.spool_shards; ++i) {
    adapter->shards_.push_back(std::make_unique<Shard>());
  }
  std::vector<DestinationConfig> parts =
      Engines::Split(config.destinations, adapter->shards_.size());
  std::vector<std::unique_ptr<Engine>> engines;
  for (size_t number = 0; number < adapter->shards_.size(); ++number) {
    Shard& shard = *adapter->shards_[number];
    ServerLease& held = *adapter->lease_;
    const auto may_send = [&shard, &held] {
      return shard.owned && held.Held();
    };
    shard.transport = std::make_unique<CurlTransport>(
        TransportOptionsOf(config.heap_way, may_send));
    shard.gated = std::make_unique<GatedTransport>(*shard.transport, may_send);
    auto store = std::make_unique<PostgresStore>(
        *adapter->sessions_,
        PostgresStoreOptions{.shard = static_cast<int32_t>(number),
                             .server = held.id(),
                             .write_patience = config.spool_patience,
                             .on_trouble =
                                 [](const std::string& line) {
                                   Log(LogSeverity::kWarning,
                                       "a write waits for the spool's database",
                                       {{"detail", line}});
                                 },
                             .on_fenced = [&held] { held.Lose(); }});
    shard.shared = store.get();
    shard.store = std::move(store);
    auto engine =
        adapter->OpenEngine(config, "", std::move(parts[number]), shard);
    if (!engine.ok()) return Failed("cannot read the spool", engine.status());
    engines.push_back(*std::move(engine));
  }
  adapter->engines_ =
      std::make_unique<Engines>(std::move(engines), config.destinations);
  return adapter;
}

absl::Status Adapter::Follow(Membership& membership) {
  if (absl::Status s = TakeClaims(membership); !s.ok()) return s;
  const std::vector<int32_t> surplus = membership.ToGiveBack();
  for (size_t number = 0; number < shards_.size(); ++number) {
    Shard& shard = *shards_[number];
    Engine& engine = (*engines_)[number];
    if (!engine.delivers()) continue;
    const bool goes = std::find(surplus.begin(), surplus.end(),
                                static_cast<int32_t>(number)) != surplus.end();
    if (goes && !shard.resting) engine.StopSending();
    if (!goes && shard.resting) engine.GoOnSending();
    shard.resting = goes;
    if (!goes || !engine.IsAtRest()) continue;
    if (absl::Status s = HandBack(number, membership); !s.ok()) return s;
  }
  return absl::OkStatus();
}

void Adapter::KeepShards() {
  for (size_t number = 0; number < shards_.size(); ++number) {
    if (std::exchange(shards_[number]->resting, false)) {
      (*engines_)[number].GoOnSending();
    }
  }
}

absl::Status Adapter::TakeClaims(Membership& membership) {
  for (const ShardClaim& claim : membership.TakeClaims()) {
    claims_.push_back(claim);
  }
  while (!claims_.empty() && membership.reachable()) {
    const absl::Status taken = Take(claims_.back());
    if (absl::IsUnavailable(taken)) break;
    if (!taken.ok()) return taken;
    claims_.pop_back();
  }
  return absl::OkStatus();
}

absl::Status Adapter::Take(const ShardClaim& claim) {
  const auto number = static_cast<size_t>(claim.shard);
  Shard& shard = *shards_[number];
  Log(LogSeverity::kInfo, "this server owns a shard of the spool",
      {{"shard", claim.shard}, {"epoch", claim.epoch}});
  shard.shared->Own(claim);
  shard.owned = true;
  shard.resting = false;
  return (*engines_)[number].Deliver();
}

absl::Status Adapter::HandBack(size_t number, Membership& membership) {
  Shard& shard = *shards_[number];
  Engine& engine = (*engines_)[number];
  if (absl::Status s = engine.StopDelivering(); !s.ok()) return s;
  shard.resting = false;
  shard.owned = false;
  shard.shared->Disown();
  // Writes that began before are through after this.
  if (absl::Status s = engine.Barrier(); !s.ok()) return s;
  const auto released = static_cast<int32_t>(number);
  membership.Release(released);
  Log(LogSeverity::kInfo, "a shard of the spool is handed back",
      {{"shard", released}});
  return absl::OkStatus();
}

}  // namespace heapsync
