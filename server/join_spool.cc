#include "server/join_spool.h"

#include <chrono>
#include <string>
#include <utility>

#include "heap_adapter/spool/postgres/spool_uri.h"
#include "server/adapter_observer.h"
#include "server/log/log.h"
#include "server/process.h"

namespace heapsync {
namespace {

constexpr std::chrono::milliseconds kStartPoll{250};

}  // namespace

absl::StatusOr<Joined> JoinSpool(const ServerConfig& config) {
  const SharedSpoolOptions options = AdapterOptionsOf(config).shared_spool;
  std::unique_ptr<StandbyPorts> standby;
  std::string logged;
  while (true) {
    auto joined = JoinedSpool::Join(options);
    if (joined.ok()) {
      return Joined{.spool = *std::move(joined), .standby = std::move(standby)};
    }
    // A set-up that was right when this server started may be so again.
    if (absl::IsFailedPrecondition(joined.status()) && standby == nullptr) {
      return joined.status();
    }
    StandbyReason reason{
        .text = "the database of the spool cannot be used at the moment",
        .detail = std::string(joined.status().message())};
    if (logged != reason.detail) {
      logged = reason.detail;
      Log(LogSeverity::kWarning, "waiting for the spool",
          {{"spool", SpoolPlaces(config.spool)},
           {"reason", reason.text},
           {"detail", reason.detail}});
    }
    if (standby == nullptr) {
      auto ports = StandbyPorts::Listen(config, std::move(reason));
      if (!ports.ok()) return ports.status();
      standby = *std::move(ports);
      NotifyReady();
    } else {
      standby->SetReason(std::move(reason));
    }
    if (WaitForSignal(kStartPoll) == Signal::kStop) return Joined{};
  }
}

}  // namespace heapsync
