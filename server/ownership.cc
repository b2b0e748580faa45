#include "server/ownership.h"

#include <unistd.h>

#include <chrono>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "server/log/log.h"
#include "server/process.h"

namespace heapsync {
namespace {

// Interval at which a standby looks whether the spool is free.
constexpr std::chrono::milliseconds kPoll{250};
constexpr std::chrono::seconds kSchemaPatience{30};

// Unique, and tells a person where to look.
std::string NewOwnerName() {
  char host[256] = "unknown";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "/", getpid(), "/",
                      absl::Hex(std::random_device()(), absl::kZeroPad8));
}

// The attempts of one server to own the spool.
class Candidate {
 public:
  explicit Candidate(const ServerConfig& config)
      : options_{.uri = config.spool, .length = config.spool_lease} {}

  // See ShardLease::TryClaim().
  absl::StatusOr<ShardLease::Outcome> Try() {
    if (connection_ == nullptr || !connection_->usable()) {
      auto connection = PostgresConnection::Open(options_.uri);
      if (!connection.ok()) return connection.status();
      connection_ = *std::move(connection);
      const absl::Status prepared = PrepareSchema(
          *connection_, std::chrono::steady_clock::now() + kSchemaPatience);
      if (!prepared.ok()) {
        connection_.reset();
        return prepared;
      }
    }
    return ShardLease::TryClaim(*connection_, options_, name_);
  }

 private:
  const ShardLeaseOptions options_;
  const std::string name_ = NewOwnerName();
  std::unique_ptr<PostgresConnection> connection_;
};

StandbyReason ReasonOf(const absl::StatusOr<ShardLease::Outcome>& tried) {
  if (!tried.ok()) {
    return {.text = "the database of the spool cannot be used at the moment",
            .detail = std::string(tried.status().message())};
  }
  return {.text = "another server owns the spool; this one is a standby",
          .detail = absl::StrCat("owner: ", tried->taken.owner)};
}

}  // namespace

absl::StatusOr<Ownership> WaitForOwnership(const ServerConfig& config) {
  Candidate candidate(config);
  std::unique_ptr<StandbyPorts> standby;
  std::string logged;
  while (true) {
    auto tried = candidate.Try();
    if (tried.ok() && tried->lease != nullptr) {
      Log(LogSeverity::kInfo, "this server owns the spool",
          {{"spool", SpoolPlace(config.spool)},
           {"owner", tried->lease->claim().owner},
           {"epoch", tried->lease->claim().epoch}});
      if (standby != nullptr) {
        standby->SetReason(
            {.text = "this server is taking over the spool", .detail = ""});
      }
      return Ownership{.lease = std::move(tried->lease),
                       .standby = std::move(standby)};
    }
    // A set-up that was right when this server started may be so again.
    if (absl::IsFailedPrecondition(tried.status()) && standby == nullptr) {
      return tried.status();
    }
    StandbyReason reason = ReasonOf(tried);
    if (logged != reason.detail) {
      logged = reason.detail;
      Log(tried.ok() ? LogSeverity::kInfo : LogSeverity::kWarning,
          "standby: waiting for the spool",
          {{"spool", SpoolPlace(config.spool)},
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
    if (WaitForSignal(kPoll) == Signal::kStop) return Ownership{};
  }
}

}  // namespace heapsync
