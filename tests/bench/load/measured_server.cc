#include "tests/bench/load/measured_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"

namespace heapsync::bench {
namespace {

// One health check over a connection of its own. The empty request asks for the
// whole server; the answer SERVING is field 1 with the value 1.
bool IsServing(int port) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel =
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                grpc::InsecureChannelCredentials(), args);
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(5));
  const grpc::Slice empty;
  grpc::ByteBuffer question(&empty, 1);
  grpc::ByteBuffer answer;
  Mutex mutex;
  CondVar done;
  std::optional<grpc::Status> status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &question,
                 &answer, [&](const grpc::Status& ended) {
                   MutexLock lock(mutex);
                   status = ended;
                   done.NotifyAll();
                 });
  MutexLock lock(mutex);
  while (!status.has_value()) done.Wait(mutex);
  if (!status->ok()) return false;
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!answer.Dump(&slices).ok()) return false;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes == std::string("\x08\x01", 2);
}

std::string WriteConfig(const ServerPlan& plan) {
  std::string path = plan.folder + "/destinations.json";
  std::ofstream file(path);
  file << "{\"destinations\":[";
  for (uint64_t i = 0; i < plan.destinations; ++i) {
    if (i > 0) file << ',';
    file << "{\"name\":\"d" << i << "\",\"app_id\":\"" << 1'000'000 + i
         << "\",\"region\":\"us\"";
    if (plan.limits == Limits::kNone) {
      file << ",\"limits\":{\"events_per_minute\":0,"
              "\"events_per_identity_per_minute\":0,"
              "\"user_requests_per_identity_per_30s\":0}";
    }
    file << '}';
  }
  file << "],\"default_destination\":\"d0\"}";
  return path;
}

}  // namespace

ScratchFolder::ScratchFolder(const std::string& parent)
    : path_(parent + "/heapsync_bench.XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) {
    std::perror(path_.c_str());
    std::exit(1);
  }
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<MeasuredServer> MeasuredServer::StartHeapSync(
    const ServerPlan& plan) {
  const std::string config = WriteConfig(plan);
  return std::unique_ptr<MeasuredServer>(new MeasuredServer(
      {plan.binary, "--listen=127.0.0.1:0", "--http_listen=127.0.0.1:0",
       absl::StrCat("--config=", config),
       absl::StrCat("--data_dir=", plan.folder, "/data"),
       absl::StrCat("--heap_us_url=", plan.sink_url),
       absl::StrCat("--heap_eu_url=", plan.sink_url), "--drain_timeout=0s"},
      plan.folder + "/server.log", /*has_health=*/true));
}

std::unique_ptr<MeasuredServer> MeasuredServer::StartBare(
    const std::string& self, const std::string& folder) {
  return std::unique_ptr<MeasuredServer>(
      new MeasuredServer({self, "--bare_server"}, folder + "/bare.log",
                         /*has_health=*/false));
}

std::unique_ptr<MeasuredServer> MeasuredServer::StartSynced(
    const std::string& self, const std::string& folder) {
  return std::unique_ptr<MeasuredServer>(new MeasuredServer(
      {self, "--synced_server", absl::StrCat("--folder=", folder)},
      folder + "/synced.log", /*has_health=*/false));
}

MeasuredServer::MeasuredServer(std::vector<std::string> argv,
                               const std::string& log, bool has_health)
    : process_(std::move(argv), log) {
  port_ = process_.WaitForPort();
  while (has_health && !IsServing(port_)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  seconds_to_serving_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                    process_.started())
          .count();
}

}  // namespace heapsync::bench
