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
#include "heap_adapter/engines.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "server/access/access.h"
#include "server/adapter_observer.h"
#include "server/admin/admin_service.h"
#include "server/data/data_service.h"
#include "server/health/health_service.h"
#include "server/join_spool.h"
#include "server/log/call_log.h"
#include "server/log/idle_memory.h"
#include "server/log/log.h"
#include "server/net/connection_acceptor.h"
#include "server/net/connection_guard.h"
#include "server/net/tls_credentials.h"
#include "server/observe/call_metrics.h"
#include "server/observe/call_observer.h"
#include "server/observe/certificate_metrics.h"
#include "server/observe/connection_metrics.h"
#include "server/observe/flow_history.h"
#include "server/observe/flow_sampler.h"
#include "server/observe/http_server.h"
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
// The same where a spool is shared, which may be lost.
constexpr std::chrono::milliseconds kSharedTick{50};

absl::Status Failed(absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(what, ": ", status.message()));
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
  RunningServer(const ServerConfig& config,
                std::unique_ptr<AdapterObserver> observer,
                std::unique_ptr<Adapter> adapter)
      : config_(config),
        observer_(std::move(observer)),
        adapter_(std::move(adapter)),
        guard_(ConnectionLimitsOf(config)),
        status_(adapter_->engines()),
        history_(adapter_->engines().clock().Read()),
        sampler_(adapter_->engines(), history_),
        certificates_(CertificatesOf(config)),
        reload_(config, adapter_->engines(), access_, certificates_.get()),
        data_(adapter_->engines(), access_,
              {.calls = config.port.max_calls,
               .streams = config.port.max_streams,
               .caller_share_percent = config.port.max_caller_share,
               .silent_stream_time = config.port.silent_stream_time,
               .message_bytes = config.port.max_message_bytes,
               .unsent_bytes = config.port.max_memory_bytes / kUnsentPart}),
        admin_(adapter_->engines(), access_, config.port.max_message_bytes,
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
  }

  void Reread(absl::string_view why) { reload_.Run(why); }
  absl::Status Listen();
  ServerEnd Wait() override;

 private:
  Engines& engines() { return adapter_->engines(); }
  void LogStart() const;
  bool CheckSpool();
  void LogTrouble(const std::string& trouble);
  // Why this server does not deliver; empty: it does. Any thread.
  std::string NotDelivering() const;
  // REQUIRES: the spool is shared. Any thread.
  ClusterStatus Cluster() const;
  ServerEnd ServeUntilEnd();

  const ServerConfig config_;
  // In the order in which they need each other.
  const std::unique_ptr<AdapterObserver> observer_;
  std::unique_ptr<Adapter> adapter_;
  CertificateMetrics expiries_{[this] { return reload_.Expiries(); }};
  std::optional<OwnerMetrics> owner_;  // if the spool is shared
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
  std::vector<const prometheus::Collectable*> metrics = observer_->metrics();
  metrics.insert(metrics.end(),
                 {&calls_, &connections_, &slots_, &process_, &expiries_});
  std::function<ClusterStatus()> cluster;
  if (adapter_->shared()) {
    owner_.emplace([&adapter = *adapter_] {
      Ownership ownership{.shards = adapter.OwnedShards(), .databases = {}};
      for (const auto& database : adapter.Cluster().databases) {
        ownership.databases.push_back(
            {.up = database.usable, .lease_left = database.lease_left});
      }
      return ownership;
    });
    metrics.push_back(&*owner_);
    cluster = [this] { return Cluster(); };
  }
  auto http =
      HttpServer::Start(config_.http_listen,
                        OperatorPages(status_, history_, HEAPSYNC_VERSION,
                                      observer_->destinations(),
                                      std::move(metrics), std::move(cluster)));
  if (!http.ok()) return Failed("cannot listen for HTTP", http.status());
  http_ = *std::move(http);
  auto acceptor =
      ConnectionAcceptor::Listen(config_.listen, ArrivalsOf(config_), guard_);
  if (!acceptor.ok()) return Failed("cannot listen", acceptor.status());
  acceptor_ = *std::move(acceptor);

  grpc::ServerBuilder builder;
  auto connections = AddPort(config_, certificates_.get(), builder);
  ObserveCalls(guard_, &calls_, builder);
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
       {"spool", config_.spool.empty() ? config_.data_dir
                                       : SpoolPlaces(config_.spool)}});
}

ClusterStatus RunningServer::Cluster() const {
  return {.seen = adapter_->Cluster(), .not_delivering = NotDelivering()};
}

std::string RunningServer::NotDelivering() const {
  const std::vector<bool> owned = adapter_->OwnedShards();
  if (std::find(owned.begin(), owned.end(), true) != owned.end()) return "";
  if (!adapter_->usable()) {
    return "the database of the spool cannot be used at the moment";
  }
  return "other servers own all shards of the spool";
}

// Tells the health service how the spool is. False: a shared spool is lost.
bool RunningServer::CheckSpool() {
  const bool healthy = engines().healthy();
  if (adapter_->lost()) {
    SetReady(false, health_);
    Log(LogSeverity::kError,
        "the shared spool is lost: this server ends, to start again",
        {{"error", adapter_->trouble()}});
    return false;
  }
  // A shared spool that fails to write is lost, or its engines are replaced.
  const bool may_be_ready = healthy || adapter_->shared();
  const bool ready = may_be_ready && adapter_->usable();
  if (ready == ready_) {
    const std::string trouble = !ready && healthy ? adapter_->trouble() : "";
    if (!trouble.empty() && trouble != logged_trouble_) LogTrouble(trouble);
    return true;
  }
  ready_ = ready;
  SetReady(ready, health_);
  if (!may_be_ready) {
    Log(LogSeverity::kError,
        "the spool failed to write; nothing is accepted until a restart",
        {{"error", engines().failure()}});
  } else if (!ready) {
    LogTrouble(adapter_->trouble());
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
    switch (WaitForSignal(adapter_->shared() ? kSharedTick : kTick)) {
      case Signal::kStop:
        return ServerEnd::kStopped;
      case Signal::kReload:
        reload_.Run("SIGHUP");
        break;
      case Signal::kNone:
        break;
    }
    const MonotonicTime now = engines().clock().Read().monotonic;
    if (!CheckSpool()) return ServerEnd::kLostSpool;
    reload_.Tick(now);
    // The flows of what others deliver are read from the database.
    if (adapter_->usable()) sampler_.Tick(now);
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
  engines().StopAccepting();
  adapter_->KeepShards();
  data_.EndStreams();
  const bool drained = engines().Drain(drain_timeout);
  data_.EndWaits();
  health_.EndWatches();
  acceptor_->Stop();
  grpc_->Shutdown(std::chrono::system_clock::now() + kCallGrace);
  admin_.Stop();
  http_.reset();
  adapter_.reset();
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
    if (able->spool == nullptr) return nullptr;
    joined = *std::move(able);
  }
  auto observer = std::make_unique<AdapterObserver>(config);
  AdapterOptions options = AdapterOptionsOf(config);
  auto adapter =
      config.spool.empty()
          ? Adapter::OpenFolder(std::move(options), observer->Events())
          : Adapter::OpenShared(std::move(options), observer->Events(),
                                std::move(joined.spool));
  if (!adapter.ok()) return adapter.status();
  auto server = std::make_unique<RunningServer>(config, std::move(observer),
                                                *std::move(adapter));
  if (joined.standby != nullptr) {
    // Files may have changed during the wait.
    server->Reread("the spool can be used");
    joined.standby.reset();
  }
  if (absl::Status s = server->Listen(); !s.ok()) return s;
  return server;
}

}  // namespace heapsync
