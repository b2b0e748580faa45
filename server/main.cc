// heapsync-server: takes items over gRPC, keeps them in the spool and delivers
// them to Heap.

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "heap_adapter/transport/curl_transport.h"
#include "server/access/access.h"
#include "server/admin/admin_service.h"
#include "server/config/flags.h"
#include "server/data/data_service.h"
#include "server/log/idle_memory.h"
#include "server/log/log.h"
#include "server/net/connection_acceptor.h"
#include "server/net/grpc_port.h"
#include "server/net/tls_credentials.h"
#include "server/observe/attempt_metrics.h"
#include "server/observe/call_metrics.h"
#include "server/observe/http_server.h"
#include "server/observe/measured_store.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/operator_pages.h"
#include "server/observe/process_metrics.h"
#include "server/reflection/reflection_v1.h"
#include "server/reload.h"

namespace heapsync {
namespace {

constexpr char kDataService[] = "heapsync.v1.HeapSyncService";
constexpr char kAdminService[] = "heapsync.v1.HeapSyncAdminService";
constexpr char kHealthService[] = "grpc.health.v1.Health";
constexpr char kReflectionV1[] = "grpc.reflection.v1.ServerReflection";
constexpr char kReflectionV1Alpha[] =
    "grpc.reflection.v1alpha.ServerReflection";

// Names that the health service knows besides those of the services. The
// process lives until it is restarted for a good reason; it is ready while it
// takes new items.
constexpr char kLiveness[] = "heapsync.liveness";
constexpr char kReadiness[] = "heapsync.readiness";

// How long open calls may take to end after the drain.
constexpr auto kCallGrace = std::chrono::seconds(2);
// And the rest of the stop after that.
constexpr auto kStopGrace = std::chrono::seconds(5);

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

sigset_t AllSignals() {
  sigset_t signals = StopSignals();
  sigaddset(&signals, SIGHUP);
  return signals;
}

// As many descriptors as the system lets this process have: connections, files
// of the spool and requests to Heap share them.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A dump would hold identities, App IDs, tokens and private keys.
void ForbidCoreDumps() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

LogSeverity SeverityOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return LogSeverity::kDebug;
    case LogLevel::kInfo:
      return LogSeverity::kInfo;
    case LogLevel::kWarning:
      return LogSeverity::kWarning;
    case LogLevel::kError:
      return LogSeverity::kError;
  }
  return LogSeverity::kInfo;
}

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
  nlohmann::json next_try;
  if (event.next_try_in.has_value()) {
    next_try = Milliseconds(*event.next_try_in);
  }
  nlohmann::json trace_id;
  nlohmann::json span_id;
  if (event.trace.has_value()) {
    trace_id = event.trace->context.TraceId();
    span_id = SpanId(event.trace->span);
  }
  Log(severity, "attempt ended",
      {{"destination", event.destination.name},
       {"type", std::string(Name(event.type))},
       {"batch", event.batch_id},
       {"attempt", event.attempt_id},
       {"tries", event.tries},
       {"items", event.items.size()},
       {"class", std::string(Name(event.verdict.response_class))},
       {"summary", event.verdict.summary},
       {"latency_ms", Milliseconds(event.latency)},
       {"oldest_item_age_ms", Milliseconds(event.oldest_item_age)},
       {"next_try_in_ms", next_try},
       {"trace_id", trace_id},
       {"span_id", span_id}});
}

int Fail(absl::string_view what, const absl::Status& status) {
  Log(LogSeverity::kError, what, {{"error", std::string(status.message())}});
  return EXIT_FAILURE;
}

// Whether new items are taken. Liveness is not touched: a restart would not
// help.
void SetReady(bool ready, grpc::HealthCheckServiceInterface& health) {
  for (const char* service : {"", kDataService, kAdminService, kReadiness}) {
    health.SetServingStatus(service, ready);
  }
}

// Waits for a stop signal. Meanwhile it tells the health service how the spool
// is, reads the configuration anew on SIGHUP and when a file changed, and gives
// back memory.
void ServeUntilSignal(const Engine& engine,
                      grpc::HealthCheckServiceInterface& health,
                      Reload& reload) {
  const sigset_t signals = AllSignals();
  const timespec tick{.tv_sec = 0, .tv_nsec = 200'000'000};
  bool serving = true;
  IdleMemory idle_memory;
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &tick);
    if (signal == SIGHUP) reload.Run("SIGHUP");
    if (signal == SIGTERM || signal == SIGINT) return;
    const MonotonicTime now = engine.clock().Read().monotonic;
    reload.Tick(now);
    idle_memory.Tick(now);
    LogSuppressedCounts();
    if (serving && !engine.healthy()) {
      serving = false;
      SetReady(false, health);
      Log(LogSeverity::kError,
          "the spool failed to write; nothing is accepted until a restart",
          {{"error", engine.committer().failure()}});
    }
  }
}

// A second signal means: now.
void ExitOnSecondSignal() {
  std::thread([] {
    const sigset_t signals = StopSignals();
    int signal = 0;
    sigwait(&signals, &signal);
    Log(LogSeverity::kWarning, "second signal: leaving at once");
    _exit(EXIT_FAILURE);
  }).detach();
}

// Ends the process if a stop takes much longer than it should: a disk that
// hangs must not keep it from being replaced. All that was accepted is in the
// spool already.
void ExitAfter(std::chrono::milliseconds patience) {
  std::thread([patience] {
    std::this_thread::sleep_for(patience);
    Log(LogSeverity::kError,
        "the stop hangs: leaving the rest to the next start",
        {{"after_ms", patience.count()}});
    _exit(EXIT_FAILURE);
  }).detach();
}

absl::StatusOr<std::unique_ptr<Store>> OpenSpoolStore(const std::string& path) {
  return OpenRocksDbStore(
      {.path = path, .on_damage = [](const std::string& line) {
         Log(LogSeverity::kError, "spool damage", {{"detail", line}});
       }});
}

enum class StartOf { kProcess, kRepairedStore };

int Serve(const ServerConfig& config, StartOf start) {
  const std::string spool_path = config.data_dir + "/spool";
  std::error_code made;
  std::filesystem::create_directories(config.data_dir, made);
  if (made) {
    return Fail("cannot make the data folder",
                absl::InternalError(config.data_dir + ": " + made.message()));
  }
  auto store = OpenSpoolStore(spool_path);
  if (!store.ok()) return Fail("cannot open the spool", store.status());

  CurlTransport transport({.user_agent = "heapsync/" HEAPSYNC_VERSION});
  EngineOptions options{
      .destinations = config.destinations,
      .delivery = {.region_urls = {config.heap_us_url, config.heap_eu_url},
                   .max_age = config.max_age,
                   .send_traceparent = config.send_traceparent},
      .spool_path = spool_path,
      .min_free_disk_bytes = config.min_free_disk_bytes};
  MeasuredStore measured(**store, spool_path, options.min_free_disk_bytes);
  MetricDestinations with_metrics(config.metrics_destinations);
  for (const Destination& destination : config.destinations.destinations) {
    with_metrics.HasOwn(destination.name);
  }
  AttemptMetrics attempts(with_metrics);
  auto engine =
      Engine::Start(measured, transport, SystemClock(), std::move(options),
                    [&attempts](const AttemptEvent& event) {
                      LogAttempt(event);
                      attempts.OnAttempt(event);
                    });
  if (absl::IsDataLoss(engine.status()) && start == StartOf::kProcess) {
    // Opening the store again repairs the damage that reading it has met.
    store->reset();
    return Serve(config, StartOf::kRepairedStore);
  }
  if (!engine.ok()) return Fail("cannot read the spool", engine.status());

  CallMetrics calls({kDataService, kAdminService});
  ProcessMetrics process;
  StatusReader status(**engine);
  auto http = HttpServer::Start(
      config.http_listen,
      OperatorPages(status, HEAPSYNC_VERSION, with_metrics,
                    {&measured, &attempts, &calls, &process}));
  if (!http.ok()) return Fail("cannot listen for HTTP", http.status());

  grpc::EnableDefaultHealthCheckService(true);
  Access access;
  if (config.access.has_value()) access.SetRules(*config.access);
  std::unique_ptr<TlsCertificates> certificates;
  if (config.tls.has_value()) {
    certificates = std::make_unique<TlsCertificates>(*config.tls);
  }
  Reload reload(config, **engine, access, certificates.get());
  DataService data(
      **engine, access,
      {.calls = config.port.max_calls, .streams = config.port.max_streams});
  AdminService admin(**engine, access);
  const std::vector<std::string> services = {kDataService, kAdminService,
                                             kHealthService, kReflectionV1,
                                             kReflectionV1Alpha};
  const ReflectionGate gate =
      [&access](const grpc::CallbackServerContext& context) {
        const auto admitted =
            access.Admit(CredentialsOf(context), ServiceKind::kReflection);
        const auto* refusal = std::get_if<CallError>(&admitted);
        return refusal == nullptr ? grpc::Status::OK : refusal->ToStatus();
      };
  ReflectionV1 reflection(services, gate);
  ReflectionV1Alpha earlier_reflection(services, gate);
  auto acceptor =
      ConnectionAcceptor::Listen(config.listen, config.port.max_connections);
  if (!acceptor.ok()) return Fail("cannot listen", acceptor.status());
  grpc::ServerBuilder builder;
  auto connections = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      certificates == nullptr
          ? grpc::InsecureServerCredentials()
          : NewTlsCredentials(*certificates, config.client_certificates));
  SetPortLimits(config.port, builder);
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(calls.NewInterceptorFactory());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.RegisterService(&data);
  builder.RegisterService(&admin);
  builder.RegisterService(&reflection);
  builder.RegisterService(&earlier_reflection);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return Fail("cannot serve", absl::InternalError("gRPC does not start"));
  }
  grpc::HealthCheckServiceInterface& health = *server->GetHealthCheckService();
  health.SetServingStatus(kLiveness, true);
  SetReady(true, health);
  (*acceptor)->Start(std::move(connections));
  if (config.access.has_value() && certificates == nullptr &&
      config.allow_plaintext) {
    Log(LogSeverity::kWarning,
        "tokens come in plaintext: somebody else has to encrypt them", {});
  }
  Log(LogSeverity::kInfo, "serving",
      {{"version", HEAPSYNC_VERSION},
       {"listen", config.listen},
       {"port", (*acceptor)->port()},
       {"tls", certificates != nullptr},
       {"callers_are_known", config.access.has_value()},
       {"http_listen", config.http_listen},
       {"http_port", (*http)->port()},
       {"destinations", config.destinations.destinations.size()},
       {"data_dir", config.data_dir}});

  ServeUntilSignal(**engine, health, reload);

  ExitOnSecondSignal();
  Log(LogSeverity::kInfo, "stopping",
      {{"drain_timeout_ms", config.drain_timeout.count()}});
  ExitAfter(config.drain_timeout + kCallGrace + kStopGrace);
  SetReady(false, health);
  (*engine)->StopAccepting();
  data.EndStreams();
  const bool drained = (*engine)->Drain(config.drain_timeout);
  data.EndWaits();
  (*acceptor)->Stop();
  server->Shutdown(std::chrono::system_clock::now() + kCallGrace);
  admin.Stop();
  http->reset();
  engine->reset();
  Log(LogSeverity::kInfo, "stopped", {{"drained", drained}});
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace heapsync

int main(int argc, char** argv) {
  // Blocked before any thread starts, so that only the waiting ones get them.
  const sigset_t signals = heapsync::AllSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // What is stored is personal data.
  umask(0077);

  // gRPC's locks are Abseil's, and Debian's build of it looks for deadlocks
  // at every lock that is taken while another is held.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  const auto config = heapsync::LoadServerConfig(argc, argv);
  if (!config.ok()) {
    std::fprintf(stderr, "heapsync-server: bad configuration:\n%s\n",
                 std::string(config.status().message()).c_str());
    return EXIT_FAILURE;
  }
  heapsync::SetLogSeverity(heapsync::SeverityOf(config->log_level));
  heapsync::RaiseDescriptorLimit();
  if (!config->allow_core_dumps) heapsync::ForbidCoreDumps();
  return heapsync::Serve(*config, heapsync::StartOf::kProcess);
}
