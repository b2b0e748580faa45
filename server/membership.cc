#include "server/membership.h"

#include <unistd.h>

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "server/log/log.h"
#include "server/process.h"

namespace heapsync {
namespace {

// Interval at which the database is asked whether the spool is free, or whether
// others have appended something.
constexpr std::chrono::milliseconds kPoll{100};
// The same while they do.
constexpr std::chrono::milliseconds kBusyPoll{20};
constexpr std::chrono::seconds kBusyFor{1};
// Others are looked for at least this often, whatever they have written.
constexpr std::chrono::seconds kLook{1};
constexpr std::chrono::seconds kKeepOrder{2};
constexpr std::chrono::minutes kSeen{1};
constexpr std::chrono::milliseconds kStartPoll{250};
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::seconds kSchemaPatience{30};

// Unique, and tells a person where to look.
std::string NewOwnerName() {
  char host[256] = "unknown";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "/", getpid(), "/",
                      absl::Hex(std::random_device()(), absl::kZeroPad8));
}

SqlDeadline Soon() { return std::chrono::steady_clock::now() + kPatience; }

}  // namespace

SpoolCandidate::SpoolCandidate(const ServerConfig& config)
    : options_{.uri = config.spool, .length = config.spool_lease},
      name_(NewOwnerName()) {}

absl::Status SpoolCandidate::Connect() {
  if (connection_ != nullptr && connection_->usable()) return absl::OkStatus();
  auto connection = PostgresConnection::Open(options_.uri);
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  const absl::Status prepared = PrepareSchema(
      *connection_, std::chrono::steady_clock::now() + kSchemaPatience);
  if (!prepared.ok()) connection_.reset();
  return prepared;
}

absl::StatusOr<ShardLease::Outcome> SpoolCandidate::Try() {
  if (absl::Status s = Connect(); !s.ok()) return s;
  return ShardLease::TryClaim(*connection_, options_, name_);
}

absl::StatusOr<Joined> JoinSpool(const ServerConfig& config) {
  auto candidate = std::make_unique<SpoolCandidate>(config);
  std::unique_ptr<StandbyPorts> standby;
  std::string logged;
  while (true) {
    auto tried = candidate->Try();
    if (tried.ok()) {
      if (tried->lease == nullptr) {
        Log(LogSeverity::kInfo,
            "another server owns the spool: this one accepts, and delivers "
            "nothing",
            {{"spool", SpoolPlace(config.spool)},
             {"owner", tried->taken.owner}});
      }
      return Joined{.candidate = std::move(candidate),
                    .lease = std::move(tried->lease),
                    .standby = std::move(standby)};
    }
    // A set-up that was right when this server started may be so again.
    if (absl::IsFailedPrecondition(tried.status()) && standby == nullptr) {
      return tried.status();
    }
    StandbyReason reason{
        .text = "the database of the spool cannot be used at the moment",
        .detail = std::string(tried.status().message())};
    if (logged != reason.detail) {
      logged = reason.detail;
      Log(LogSeverity::kWarning, "waiting for the spool",
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
    if (WaitForSignal(kStartPoll) == Signal::kStop) return Joined{};
  }
}

Membership::Membership(std::unique_ptr<SpoolCandidate> candidate, bool owns,
                       int64_t writer, Engine& engine)
    : candidate_(std::move(candidate)),
      writer_(writer),
      engine_(engine),
      owns_(owns),
      seen_at_(std::chrono::steady_clock::now()) {
  thread_ = std::thread([this] { Run(); });
}

void Membership::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  if (thread_.joinable()) thread_.join();
  const std::unique_ptr<ShardLease> given_back = TakeLease();
}

std::unique_ptr<ShardLease> Membership::TakeLease() {
  MutexLock lock(mutex_);
  return std::move(lease_);
}

std::string Membership::error() const {
  MutexLock lock(mutex_);
  return error_;
}

std::string Membership::owner() const {
  MutexLock lock(mutex_);
  return owner_;
}

void Membership::Run() {
  while (true) {
    const absl::Status status = Round();
    reachable_ = status.ok();
    const bool busy =
        owns_ && std::chrono::steady_clock::now() - wrote_at_ < kBusyFor;
    MutexLock lock(mutex_);
    error_ = std::string(status.message());
    if (!stopping_) wake_.WaitFor(mutex_, busy ? kBusyPoll : kPoll);
    if (stopping_) return;
  }
}

absl::Status Membership::Round() {
  if (absl::Status s = candidate_->Connect(); !s.ok()) return s;
  const Time now = std::chrono::steady_clock::now();
  const absl::Status status = owns_ ? LookForAppends(now) : TryToOwn();
  return status.ok() ? KeepOrder(now) : status;
}

absl::Status Membership::TryToOwn() {
  auto tried = candidate_->Try();
  if (!tried.ok()) return tried.status();
  owns_ = tried->lease != nullptr;
  MutexLock lock(mutex_);
  owner_ = owns_ ? "" : std::move(tried->taken.owner);
  lease_ = std::move(tried->lease);
  return absl::OkStatus();
}

absl::Status Membership::LookForAppends(Time now) {
  const auto wrote = others_.HaveWritten(candidate_->connection(), Soon());
  if (!wrote.ok()) return wrote.status();
  if (*wrote) wrote_at_ = now;
  if (!*wrote && now - looked_at_ < kLook) return absl::OkStatus();
  looked_at_ = now;
  engine_.LookAtOthers();
  return absl::OkStatus();
}

absl::Status Membership::KeepOrder(Time now) {
  PostgresConnection& connection = candidate_->connection();
  if (now - order_kept_at_ >= kKeepOrder) {
    order_kept_at_ = now;
    const absl::Status ended = OtherWriters::EndStuck(connection, Soon());
    if (!ended.ok()) return ended;
  }
  if (now - seen_at_ < kSeen) return absl::OkStatus();
  seen_at_ = now;
  if (owns_) return OtherWriters::ForgetOld(connection, Soon());
  return OtherWriters::Seen(connection, writer_, Soon());
}

}  // namespace heapsync
