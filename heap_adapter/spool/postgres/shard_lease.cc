#include "heap_adapter/spool/postgres/shard_lease.h"

#include <ctime>
#include <utility>

namespace heapsync {
namespace {

constexpr int32_t kShard = 0;

// now() is when the transaction began, which is after the renewal was sent:
// waiting for a lock only makes a lease shorter.
constexpr SqlStatement kLook{
    "look",
    "SELECT lease_until IS NULL OR lease_until < now(), owner, "
    "COALESCE(CAST(extract(epoch FROM lease_until - now()) * 1000 AS bigint), "
    "0) FROM heapsync_shard WHERE id = $1"};
constexpr SqlStatement kClaim{
    "claim",
    "UPDATE heapsync_shard SET epoch = epoch + 1, owner = $2, "
    "lease_until = now() + $3 * interval '1 second' "
    "WHERE id = $1 AND (lease_until IS NULL OR lease_until < now()) "
    "RETURNING epoch, last_write"};
constexpr SqlStatement kRenew{
    "renew",
    "UPDATE heapsync_shard SET lease_until = now() + $4 * interval '1 second' "
    "WHERE id = $1 AND epoch = $2 AND owner = $3"};
constexpr SqlStatement kGiveBack{"give_back",
                                 "UPDATE heapsync_shard SET lease_until = NULL "
                                 "WHERE id = $1 AND epoch = $2 AND owner = $3"};

constexpr std::chrono::milliseconds kRetryInterval{200};
constexpr std::chrono::seconds kGiveBackPatience{1};

double Seconds(std::chrono::milliseconds length) {
  return std::chrono::duration<double>(length).count();
}

}  // namespace

std::chrono::nanoseconds TimeSinceBoot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::nanoseconds(now.tv_nsec);
}

absl::StatusOr<ShardLease::Outcome> ShardLease::TryClaim(
    PostgresConnection& connection, const ShardLeaseOptions& options,
    const std::string& owner) {
  const SqlDeadline deadline =
      std::chrono::steady_clock::now() + options.length / 2;
  // Looking first: claims that fail would lock the row all the time.
  const auto seen =
      connection.Run({kLook, SqlParameters().Int4(kShard)}, deadline);
  if (!seen.ok()) return seen.status();
  if (seen->rows() != 1) {
    return absl::FailedPreconditionError("the spool's shard is missing");
  }
  Outcome outcome{
      .lease = nullptr,
      .taken = {.owner = std::string(seen->Bytes(0, 1)),
                .left = std::chrono::milliseconds(seen->Int8(0, 2))}};
  if (!seen->Bool(0, 0)) return outcome;
  const std::chrono::nanoseconds sent = options.clock();
  const auto claimed =
      connection.Run({kClaim, SqlParameters().Int4(kShard).Text(owner).Float8(
                                  Seconds(options.length))},
                     deadline);
  if (!claimed.ok()) return claimed.status();
  if (claimed->rows() == 0) return outcome;
  outcome.lease.reset(new ShardLease(options,
                                     {.epoch = claimed->Int8(0, 0),
                                      .owner = owner,
                                      .last_write = claimed->Int8(0, 1)},
                                     sent));
  return outcome;
}

ShardLease::ShardLease(const ShardLeaseOptions& options, ShardClaim claim,
                       std::chrono::nanoseconds sent)
    : uri_(options.uri),
      clock_(options.clock),
      claim_(std::move(claim)),
      term_(options.length) {
  term_.Renewed(sent);
  thread_ = std::thread([this] { Run(); });
}

ShardLease::~ShardLease() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
}

void ShardLease::Run() {
  while (!lost()) {
    const absl::Status renewed = Renew();
    MutexLock lock(mutex_);
    last_renewal_ = renewed;
    const auto wait = renewed.ok() ? term_.renewal() : kRetryInterval;
    if (!stopping_ && !lost()) wake_.WaitFor(mutex_, wait);
    if (stopping_) break;
  }
  if (!lost()) GiveBack();
}

absl::Status ShardLease::Connect() {
  if (connection_ != nullptr && connection_->usable()) return absl::OkStatus();
  connection_.reset();
  auto connection = PostgresConnection::Open(uri_);
  if (!connection.ok()) return connection.status();
  connection_ = *std::move(connection);
  return absl::OkStatus();
}

absl::Status ShardLease::Renew() {
  if (absl::Status s = Connect(); !s.ok()) return s;
  const std::chrono::nanoseconds sent = clock_();
  const auto renewed =
      connection_->Run({kRenew, SqlParameters()
                                    .Int4(kShard)
                                    .Int8(claim_.epoch)
                                    .Text(claim_.owner)
                                    .Float8(Seconds(term_.length()))},
                       std::chrono::steady_clock::now() + term_.length() / 2);
  if (!renewed.ok()) return renewed.status();
  if (renewed->affected() == 0) {
    Lose();
  } else {
    term_.Renewed(sent);
  }
  return absl::OkStatus();
}

void ShardLease::GiveBack() {
  term_.End();
  if (connection_ == nullptr || !connection_->usable()) return;
  static_cast<void>(connection_->Run(
      {kGiveBack,
       SqlParameters().Int4(kShard).Int8(claim_.epoch).Text(claim_.owner)},
      std::chrono::steady_clock::now() + kGiveBackPatience));
}

}  // namespace heapsync
