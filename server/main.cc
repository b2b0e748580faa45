// heapsync-server: takes items over gRPC, keeps them in the spool and delivers
// them to Heap.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "server/config/command_line.h"
#include "server/log/log.h"
#include "server/process.h"
#include "server/server.h"

namespace heapsync {
namespace {

// EX_TEMPFAIL of sysexits.h: start it again.
constexpr int kExitLostSpool = 75;

// Returns the exit code.
int Serve(const ServerConfig& config) {
  const auto server = HeapSyncServer::Start(config);
  if (!server.ok()) {
    Log(LogSeverity::kError, "the server cannot start",
        {{"error", server.status().message()}});
    // A database that was lost between joining and serving.
    const bool lost_spool =
        !config.spool.empty() && absl::IsUnavailable(server.status());
    return lost_spool ? kExitLostSpool : EXIT_FAILURE;
  }
  if (*server == nullptr) return EXIT_SUCCESS;
  NotifyReady();
  switch ((*server)->Wait()) {
    case ServerEnd::kStopped:
      return EXIT_SUCCESS;
    case ServerEnd::kLostSpool:
      return kExitLostSpool;
  }
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace heapsync

int main(int argc, char** argv) {
  heapsync::BlockSignals();
  const heapsync::Environment environment = heapsync::ProcessEnvironment();
  const auto config = heapsync::LoadServerConfig(argc, argv);
  if (!config.ok()) {
    std::fprintf(stderr, "heapsync-server: bad configuration:\n%s\n",
                 std::string(config.status().message()).c_str());
    return EXIT_FAILURE;
  }
  heapsync::PrepareProcess(*config);
  for (const std::string& name :
       heapsync::StrayVariablesOf(environment).unknown) {
    heapsync::Log(heapsync::LogSeverity::kWarning,
                  "a variable of the environment is no setting and is ignored",
                  {{"name", name}});
  }
  const int exit_code = heapsync::Serve(*config);
  heapsync::FlushLog();
  return exit_code;
}
