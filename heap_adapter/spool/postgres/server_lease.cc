#include "heap_adapter/spool/postgres/server_lease.h"

#include <random>
#include <utility>

namespace heapsync {
namespace {

// now() is when the transaction began, which is after the renewal was sent:
// waiting for a lock only makes a lease shorter.
constexpr SqlStatement kTake{
    "take",
    "INSERT INTO heapsync_server (id, name, lease_until) "
    "VALUES ($1, $2, now() + $3 * interval '1 second')"};
constexpr SqlStatement kRenew{
    "renew",
    "UPDATE heapsync_server SET lease_until = "
    "GREATEST(lease_until, now() + $2 * interval '1 second') WHERE id = $1"};
constexpr SqlStatement kGiveBack{"give_back",
                                 "DELETE FROM heapsync_server WHERE id = $1"};

constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::chrono::seconds kGiveBackPatience{1};

double Seconds(std::chrono::milliseconds length) {
  return std::chrono::duration<double>(length).count();
}

ServerId NewId() {
  const auto id =
      static_cast<ServerId>(std::mt19937_64(std::random_device()())() >> 1);
  return id == kNoServer ? 1 : id;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerLease>> ServerLease::Take(
    PostgresConnection& connection, const ServerLeaseOptions& options,
    const std::string& name) {
  const ServerId id = NewId();
  const std::chrono::nanoseconds sent = options.clock();
  const auto taken = connection.Run(
      {kTake,
       SqlParameters().Int8(id).Text(name).Float8(Seconds(options.length))},
      std::chrono::steady_clock::now() + options.length / 2);
  if (!taken.ok()) return taken.status();
  return std::unique_ptr<ServerLease>(new ServerLease(options, id, sent));
}

ServerLease::ServerLease(const ServerLeaseOptions& options, ServerId id,
                         std::chrono::nanoseconds sent)
    : uri_(options.uri), clock_(options.clock), id_(id), term_(options.length) {
  term_.Renewed(sent);
  thread_ = std::thread([this] { Run(); });
}

void ServerLease::GiveUp() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
  connection_.reset();
}

void ServerLease::Run() {
  while (!lost()) {
    const absl::Status renewed = Renew();
    MutexLock lock(mutex_);
    last_renewal_ = renewed;
    const auto wait = renewed.ok() ? term_.renewal() : kRetryInterval;
    if (!stopping_ && !lost()) wake_.WaitFor(mutex_, wait);
    if (stopping_) break;
  }
  GiveBack();
}

absl::Status ServerLease::Connect() {
  if (connection_ != nullptr && connection_->usable()) return absl::OkStatus();
  connection_.reset();
  auto connection = PostgresConnection::Open(uri_);
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  return absl::OkStatus();
}

absl::Status ServerLease::Renew() {
  if (absl::Status s = Connect(); !s.ok()) return s;
  const std::chrono::nanoseconds sent = clock_();
  const auto renewed = connection_->Run(
      {kRenew, SqlParameters().Int8(id_).Float8(Seconds(term_.length()))},
      std::chrono::steady_clock::now() + term_.length() / 2);
  if (!renewed.ok()) return renewed.status();
  if (renewed->affected() == 0) {
    Lose();
  } else {
    term_.Renewed(sent);
  }
  return absl::OkStatus();
}

void ServerLease::GiveBack() {
  term_.End();
  if (connection_ == nullptr || !connection_->usable()) return;
  static_cast<void>(
      connection_->Run({kGiveBack, SqlParameters().Int8(id_)},
                       std::chrono::steady_clock::now() + kGiveBackPatience));
}

}  // namespace heapsync
