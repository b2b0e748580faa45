#include "server/server.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/postgres/postgres_store.h"
#include "heap_adapter/spool/postgres/shard_lease.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "heap_adapter/transport/curl_transport.h"
#include "heap_adapter/transport/gated_transport.h"
#include "server/access/access.h"
#include "server/admin/admin_service.h"
#include "server/data/data_service.h"
#include "server/health/health_service.h"
#include "server/log/call_log.h"
#include "server/log/idle_memory.h"
#include "server/log/log.h"
#include "server/membership.h"
#include "server/net/connection_acceptor.h"
#include "server/net/connection_guard.h"
#include "server/net/tls_credentials.h"
#include "server/observe/attempt_metrics.h"
#include "server/observe/call_metrics.h"
#include "server/observe/certificate_metrics.h"
#include "server/observe/connection_metrics.h"
#include "server/observe/dispatcher_metrics.h"
#include "server/observe/flow_history.h"
#include "server/observe/flow_sampler.h"
#include "server/observe/http_server.h"
#include "server/observe/measured_store.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/operator_pages.h"
#include "server/observe/owner_metrics.h"
#include "server/observe/process_metrics.h"
#include "server/observe/slot_metrics.h"
#include "server/port_setup.h"
#include "server/process.h"
#include "server/reflection/reflection_v1.h"
#include "server/reload.h"

namespace heapsync {
namespace {

constexpr char kReflectionV1[] = "grpc.reflection.v1.ServerReflection";
constexpr char kReflectionV1Alpha[] =
    "grpc.reflection.v1alpha.ServerReflection";

// Answers that their streams do not read have this part of the memory for
// messages.
constexpr size_t kUnsentPart = 8;

// Time that open calls have to end after the drain.
constexpr auto kCallGrace = std::chrono::seconds(2);
// And the rest of the stop after that.
constexpr auto kStopGrace = std::chrono::seconds(5);

// Interval at which the configuration's files, the spool's health, idle memory
// and the step of the flow's history are checked.
constexpr std::chrono::milliseconds kTick{200};
// The same while this server may take over a shared spool.
constexpr std::chrono::milliseconds kTakeOverTick{50};

// Interval at which a server that does not deliver reads what the one that does
// has published.
constexpr std::chrono::seconds kReadFigures{1};

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

EngineOptions OptionsOf(const ServerConfig& config,
                        const std::string& spool_path,
                        const std::string& server_name,
                        DispatcherMetrics& dispatcher) {
  return {.destinations = config.destinations,
          .delivery = {.region_urls = {config.heap_us_url, config.heap_eu_url},
                       .max_retry_after = config.max_retry_after,
                       .max_age = config.max_age,
                       .send_traceparent = config.send_traceparent},
          .spool_path = spool_path,
          .min_free_disk_bytes = config.min_free_disk_bytes,
          .on_step =
              [&dispatcher](Duration duration) { dispatcher.OnStep(duration); },
          .server_name = server_name,
          .on_command =
              [server_name](const ObeyedCommand& obeyed) {
                // Its own are logged where they are answered.
                if (obeyed.command.server == server_name ||
                    obeyed.command.kind == CommandRecord::Kind::kFlush) {
                  return;
                }
                LogObeyedCommand({.call = Name(obeyed.command.kind),
                                  .server = obeyed.command.server,
                                  .caller = obeyed.command.caller,
                                  .destination = obeyed.command.destination},
                                 obeyed.status);
              }};
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

// The engine with what it works on and what is measured of it.
struct Adapter {
  explicit Adapter(const ServerConfig& config)
      : is_shared(!config.spool.empty()),
        with_metrics(config.metrics_destinations),
        attempts(with_metrics),
        transport(TransportOptionsOf(config.heap_way, Gate())) {
    if (is_shared) gated.emplace(transport, Gate());
    for (const Destination& destination : config.destinations.destinations) {
      with_metrics.HasOwn(destination.name);
    }
  }

  // Tells whether requests may leave; null: always.
  std::function<bool()> Gate() const {
    if (!is_shared) return nullptr;
    return [this] {
      const ShardLease* const held = owned;
      return held != nullptr && held->Held();
    };
  }
  Transport& ToHeap() {
    if (gated.has_value()) return *gated;
    return transport;
  }
  // From now on this server owns the shared spool. Once.
  void Own(std::unique_ptr<ShardLease> claimed) {
    lease = std::move(claimed);
    owned = lease.get();
    shared->Own(*lease);
  }
  std::chrono::nanoseconds LeaseLeft() const {
    const ShardLease* const held = owned;
    return held == nullptr ? std::chrono::nanoseconds(0) : held->Left();
  }
  // Stops the engine; gives a shared spool back.
  void Close() {
    engine.reset();
    measured.reset();
    store.reset();
    owned = nullptr;
    lease.reset();
  }

  // In the order in which they need each other.
  const bool is_shared;
  std::string server_name;                        // of a shared spool's member
  std::atomic<const ShardLease*> owned{nullptr};  // `lease`, for any thread
  MetricDestinations with_metrics;
  AttemptMetrics attempts;
  DispatcherMetrics dispatcher;
  std::unique_ptr<ShardLease> lease;
  CurlTransport transport;
  std::optional<GatedTransport> gated;
  std::unique_ptr<Store> store;
  PostgresStore* shared = nullptr;  // `store`, if the spool is shared
  std::unique_ptr<MeasuredStore> measured;
  std::unique_ptr<Engine> engine;
};

// Opens the engine on `adapter.store`. `folder`: see EngineOptions.
absl::Status OpenEngine(const ServerConfig& config, const std::string& folder,
                        Adapter& adapter) {
  adapter.measured = std::make_unique<MeasuredStore>(
      *adapter.store, folder, config.min_free_disk_bytes);
  auto engine = Engine::Open(
      *adapter.measured, adapter.ToHeap(), SystemClock(),
      OptionsOf(config, folder, adapter.server_name, adapter.dispatcher),
      [&attempts = adapter.attempts](const AttemptEvent& event) {
        LogAttempt(event);
        attempts.OnAttempt(event);
      },
      LogExpiry);
  if (!engine.ok()) return engine.status();
  adapter.engine = *std::move(engine);
  return absl::OkStatus();
}

absl::Status StartEngine(const ServerConfig& config, const std::string& folder,
                         Adapter& adapter) {
  if (absl::Status s = OpenEngine(config, folder, adapter); !s.ok()) return s;
  absl::Status started = adapter.engine->Deliver();
  if (!started.ok()) adapter.engine.reset();
  return started;
}

// Opens the spool in the data folder and starts the engine on it. Damage that
// the engine meets when it reads the store is repaired by opening the store
// again, once.
absl::Status OpenSpool(const ServerConfig& config, Adapter& adapter) {
  const std::string path = config.data_dir + "/spool";
  std::error_code made;
  std::filesystem::create_directories(config.data_dir, made);
  if (made) {
    return Failed("cannot make the data folder",
                  absl::InternalError(
                      absl::StrCat(config.data_dir, ": ", made.message())));
  }
  for (bool repaired = false;; repaired = true) {
    auto store = OpenSpoolStore(path);
    if (!store.ok()) return Failed("cannot open the spool", store.status());
    adapter.store = *std::move(store);
    const absl::Status started = StartEngine(config, path, adapter);
    if (started.ok()) return started;
    if (!absl::IsDataLoss(started) || repaired) {
      return Failed("cannot read the spool", started);
    }
    adapter.measured.reset();
    adapter.store.reset();
  }
}

void LogOwnership(const ServerConfig& config, const ShardLease& lease) {
  Log(LogSeverity::kInfo, "this server owns the spool",
      {{"spool", SpoolPlace(config.spool)},
       {"owner", lease.claim().owner},
       {"epoch", lease.claim().epoch}});
}

// Opens the engine on the shared spool, and delivers from it if `lease` is not
// null.
absl::Status OpenSharedSpool(const ServerConfig& config,
                             const std::string& server_name,
                             std::unique_ptr<ShardLease> lease,
                             Adapter& adapter) {
  adapter.server_name = server_name;
  auto store = std::make_unique<PostgresStore>(PostgresStoreOptions{
      .uri = config.spool,
      .write_patience = config.spool_patience,
      .on_trouble = [](const std::string& line) {
        Log(LogSeverity::kWarning, "a write waits for the spool's database",
            {{"detail", line}});
      }});
  adapter.shared = store.get();
  adapter.store = std::move(store);
  if (lease != nullptr) {
    LogOwnership(config, *lease);
    adapter.Own(std::move(lease));
  }
  absl::Status opened = OpenEngine(config, "", adapter);
  if (opened.ok() && adapter.lease != nullptr) {
    opened = adapter.engine->Deliver();
  }
  return opened.ok() ? opened : Failed("cannot read the spool", opened);
}

ReflectionGate GateOf(const Access& access) {
  return [&access](const grpc::CallbackServerContext& context)
             -> std::variant<std::string, grpc::Status> {
    auto admitted =
        access.Admit(CredentialsOf(context), ServiceKind::kReflection);
    if (const auto* refusal = std::get_if<CallError>(&admitted)) {
      return refusal->ToStatus();
    }
    return std::get<Caller>(std::move(admitted)).name;
  };
}

std::vector<std::string> ServiceNames() {
  return {kDataService, kAdminService, kHealthService, kReflectionV1,
          kReflectionV1Alpha};
}

class RunningServer final : public HeapSyncServer {
 public:
  // `candidate` is null unless the spool is shared.
  RunningServer(const ServerConfig& config, std::unique_ptr<Adapter> adapter,
                std::unique_ptr<SpoolCandidate> candidate)
      : config_(config),
        adapter_(std::move(adapter)),
        guard_(ConnectionLimitsOf(config.port)),
        status_(*adapter_->engine),
        history_(adapter_->engine->clock().Read()),
        sampler_(*adapter_->engine, history_),
        certificates_(CertificatesOf(config)),
        reload_(config, *adapter_->engine, access_, certificates_.get()),
        data_(*adapter_->engine, access_,
              {.calls = config.port.max_calls,
               .streams = config.port.max_streams,
               .caller_share_percent = config.port.max_caller_share,
               .silent_stream_time = config.port.silent_stream_time,
               .message_bytes = config.port.max_message_bytes,
               .unsent_bytes = config.port.max_memory_bytes / kUnsentPart}),
        admin_(*adapter_->engine, access_, config.port.max_message_bytes,
               config.port.max_caller_share),
        slots_({{"unary", data_.calls()},
                {"delivery_wait", data_.waits()},
                {"stream", data_.places().slots()},
                {"flush", admin_.flushes()}},
               [this] { return data_.places().silent_ended(); }),
        health_(config.port.max_connections),
        reflection_(ServiceNames(), GateOf(access_),
                    config.port.max_message_bytes),
        earlier_reflection_(ServiceNames(), GateOf(access_),
                            config.port.max_message_bytes) {
    access_.SetOnAdmitted(
        [this](const std::string& peer, const std::string& caller) {
          return ErrorOf(guard_.Admitted(peer, caller));
        });
    health_.SetOnChecked(
        [this](const std::string& peer) { guard_.HealthChecked(peer); });
    if (config.access.has_value()) access_.SetRules(*config.access);
    if (candidate != nullptr) {
      membership_.emplace(std::move(candidate), adapter_->lease != nullptr,
                          adapter_->shared->writer_id(), *adapter_->engine);
    }
  }

  void Reread(absl::string_view why) { reload_.Run(why); }
  absl::Status Listen();
  ServerEnd Wait() override;

 private:
  Engine& engine() { return *adapter_->engine; }
  void LogStart() const;
  bool CheckSpool();
  void LogTrouble(const std::string& trouble);
  // Takes a shared spool over if it was claimed, and follows its owner
  // otherwise. False: it could not be read.
  bool FollowSpool(MonotonicTime now);
  // Why this server does not deliver; empty: it does.
  std::string NotDelivering() const;
  ServerEnd ServeUntilEnd();

  const ServerConfig config_;
  // In the order in which they need each other.
  const std::unique_ptr<Adapter> adapter_;
  CertificateMetrics expiries_{[this] { return reload_.Expiries(); }};
  std::optional<OwnerMetrics> owner_;     // if the spool is shared
  std::optional<Membership> membership_;  // likewise
  MonotonicTime figures_read_at_;
  bool ready_ = true;
  std::string logged_trouble_;  // while not ready
  CallMetrics calls_{{kDataService, kAdminService}};
  ConnectionGuard guard_;
  ConnectionMetrics connections_{guard_};
  ProcessMetrics process_;
  StatusReader status_;
  FlowHistory history_;
  FlowSampler sampler_;
  Access access_;
  const std::unique_ptr<TlsCertificates> certificates_;
  Reload reload_;
  DataService data_;
  AdminService admin_;
  SlotMetrics slots_;
  HealthService health_;
  ReflectionV1 reflection_;
  ReflectionV1Alpha earlier_reflection_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> grpc_;
};

absl::Status RunningServer::Listen() {
  std::vector<const prometheus::Collectable*> metrics = {
      adapter_->measured.get(),
      &adapter_->attempts,
      &adapter_->dispatcher,
      &calls_,
      &connections_,
      &slots_,
      &process_,
      &expiries_};
  if (adapter_->is_shared) {
    owner_.emplace([&adapter = *adapter_] { return adapter.LeaseLeft(); });
    metrics.push_back(&*owner_);
  }
  auto http = HttpServer::Start(
      config_.http_listen,
      OperatorPages(status_, history_, HEAPSYNC_VERSION, adapter_->with_metrics,
                    std::move(metrics), [this] { return NotDelivering(); }));
  if (!http.ok()) return Failed("cannot listen for HTTP", http.status());
  http_ = *std::move(http);
  auto acceptor =
      ConnectionAcceptor::Listen(config_.listen, ArrivalsOf(config_), guard_);
  if (!acceptor.ok()) return Failed("cannot listen", acceptor.status());
  acceptor_ = *std::move(acceptor);

  grpc::ServerBuilder builder;
  auto connections = AddPort(config_, certificates_.get(), builder);
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(guard_.NewInterceptorFactory());
  interceptors.push_back(calls_.NewInterceptorFactory());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  health_.SetServing(kLiveness, true);
  SetReady(true, health_);
  builder.RegisterService(&health_);
  builder.RegisterService(&data_);
  builder.RegisterService(&admin_);
  builder.RegisterService(&reflection_);
  builder.RegisterService(&earlier_reflection_);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr) {
    return absl::InternalError("cannot serve: gRPC does not start");
  }
  acceptor_->Start(std::move(connections));
  LogStart();
  return absl::OkStatus();
}

void RunningServer::LogStart() const {
  if (config_.access.has_value() && certificates_ == nullptr &&
      config_.allow_plaintext) {
    Log(LogSeverity::kWarning,
        "tokens come in plaintext: a proxy has to encrypt them", {});
  }
  Log(LogSeverity::kInfo, "serving",
      {{"version", HEAPSYNC_VERSION},
       {"listen", config_.listen},
       {"port", acceptor_->port()},
       {"tls", certificates_ != nullptr},
       {"callers_are_known", config_.access.has_value()},
       {"http_listen", config_.http_listen},
       {"http_port", http_->port()},
       {"destinations", config_.destinations.destinations.size()},
       {"spool",
        config_.spool.empty() ? config_.data_dir : SpoolPlace(config_.spool)}});
}

std::string RunningServer::NotDelivering() const {
  if (!membership_.has_value() || adapter_->engine->delivers()) return "";
  const std::string owner = membership_->owner();
  if (!membership_->reachable()) {
    return "the database of the spool cannot be used at the moment";
  }
  if (owner.empty()) return "this server is taking over the spool";
  return absl::StrCat("another server owns the spool and delivers: ", owner);
}

bool RunningServer::FollowSpool(MonotonicTime now) {
  if (!membership_.has_value() || engine().delivers()) return true;
  if (auto lease = membership_->TakeLease()) {
    LogOwnership(config_, *lease);
    adapter_->Own(std::move(lease));
    const absl::Status begun = engine().Deliver();
    if (begun.ok()) return true;
    Log(LogSeverity::kError, "the shared spool cannot be read",
        {{"error", begun.message()}});
    return false;
  }
  if (now - figures_read_at_ < kReadFigures || !membership_->reachable()) {
    return true;
  }
  figures_read_at_ = now;
  // Bounds stay as they were if it fails.
  static_cast<void>(engine().ReadFigures());
  return true;
}

// Tells the health service how the spool is. False: a shared spool is lost.
bool RunningServer::CheckSpool() {
  const bool healthy = engine().healthy();
  const ShardLease* const lease = adapter_->lease.get();
  const bool other_owner = lease != nullptr && lease->lost();
  if (adapter_->is_shared && (other_owner || !healthy)) {
    SetReady(false, health_);
    Log(LogSeverity::kError,
        "the shared spool is lost: this server ends, to start again",
        {{"other_owner", other_owner}, {"error", engine().failure()}});
    return false;
  }
  const bool ready =
      healthy && (!adapter_->is_shared ||
                  (!adapter_->shared->waiting() && membership_->reachable()));
  if (ready == ready_) {
    const std::string trouble = membership_.has_value() && !ready && healthy
                                    ? membership_->error()
                                    : "";
    if (!trouble.empty() && trouble != logged_trouble_) LogTrouble(trouble);
    return true;
  }
  ready_ = ready;
  SetReady(ready, health_);
  if (!healthy) {
    Log(LogSeverity::kError,
        "the spool failed to write; nothing is accepted until a restart",
        {{"error", engine().failure()}});
  } else if (!ready) {
    LogTrouble(membership_->error());
  } else {
    Log(LogSeverity::kInfo, "ready again: the shared spool can be used");
  }
  return true;
}

// The first error is often that a connection was lost, and a later one tells
// why.
void RunningServer::LogTrouble(const std::string& trouble) {
  logged_trouble_ = trouble;
  Log(LogSeverity::kWarning,
      "not ready: the shared spool cannot be used at the moment",
      {{"detail", trouble}});
}

// Waits for a stop signal, or for the loss of a shared spool. Meanwhile it
// watches the spool, reads the configuration again on SIGHUP and when a file
// changed, and gives back memory.
ServerEnd RunningServer::ServeUntilEnd() {
  IdleMemory idle_memory;
  while (true) {
    const bool may_take_over = membership_.has_value() && !engine().delivers();
    switch (WaitForSignal(may_take_over ? kTakeOverTick : kTick)) {
      case Signal::kStop:
        return ServerEnd::kStopped;
      case Signal::kReload:
        reload_.Run("SIGHUP");
        break;
      case Signal::kNone:
        break;
    }
    const MonotonicTime now = engine().clock().Read().monotonic;
    if (!FollowSpool(now) || !CheckSpool()) return ServerEnd::kLostSpool;
    reload_.Tick(now);
    // A server that follows the owner reads the flows from the database.
    if (!membership_.has_value() || engine().delivers() ||
        membership_->reachable()) {
      sampler_.Tick(now);
    }
    idle_memory.Tick(now);
    LogSuppressedCounts();
  }
}

ServerEnd RunningServer::Wait() {
  const ServerEnd end = ServeUntilEnd();

  ExitOnSecondSignal();
  // Without its spool a server can finish nothing.
  const auto drain_timeout = end == ServerEnd::kStopped
                                 ? config_.drain_timeout
                                 : std::chrono::milliseconds(0);
  Log(LogSeverity::kInfo, "stopping",
      {{"drain_timeout_ms", drain_timeout.count()}});
  ExitAfter(drain_timeout + kCallGrace + kStopGrace);
  SetReady(false, health_);
  engine().StopAccepting();
  // Nothing is taken over any more.
  if (membership_.has_value()) membership_->Stop();
  data_.EndStreams();
  const bool drained = engine().Drain(drain_timeout);
  data_.EndWaits();
  health_.EndWatches();
  acceptor_->Stop();
  grpc_->Shutdown(std::chrono::system_clock::now() + kCallGrace);
  admin_.Stop();
  http_.reset();
  adapter_->Close();
  Log(LogSeverity::kInfo, "stopped", {{"drained", drained}});
  return end;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HeapSyncServer>> HeapSyncServer::Start(
    const ServerConfig& config) {
  Joined joined;
  if (!config.spool.empty()) {
    auto able = JoinSpool(config);
    if (!able.ok()) return Failed("cannot use the spool", able.status());
    if (able->candidate == nullptr) return nullptr;
    joined = *std::move(able);
  }
  auto adapter = std::make_unique<Adapter>(config);
  const absl::Status opened =
      config.spool.empty() ? OpenSpool(config, *adapter)
                           : OpenSharedSpool(config, joined.candidate->name(),
                                             std::move(joined.lease), *adapter);
  if (!opened.ok()) return opened;
  auto server = std::make_unique<RunningServer>(config, std::move(adapter),
                                                std::move(joined.candidate));
  if (joined.standby != nullptr) {
    // Files may have changed during the wait.
    server->Reread("the spool can be used");
    joined.standby.reset();
  }
  if (absl::Status s = server->Listen(); !s.ok()) return s;
  return server;
}

}  // namespace heapsync
