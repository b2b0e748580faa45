#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SHARD_LEASE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SHARD_LEASE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/spool/postgres/connection.h"

namespace heapsync {

// Time since the machine started, sleep included: an owner that was suspended
// has to notice. Tests drive one of their own.
using LeaseClock = std::function<std::chrono::nanoseconds()>;
std::chrono::nanoseconds TimeSinceBoot();

// The time for which a claim, or a renewal, lets its owner go on.
//
// The database counts from when it gets the renewal, on its clock; the owner
// from when it sent it, and ends a part of the lease earlier: what it has sent
// by then is at Heap before anybody else can own the shard.
class LeaseTerm {
 public:
  explicit LeaseTerm(std::chrono::milliseconds length) : length_(length) {}

  std::chrono::milliseconds length() const { return length_; }
  // Interval of the renewals: several may fail before the lease ends.
  std::chrono::milliseconds renewal() const { return length_ / 5; }

  // A renewal that was sent at `sent` has succeeded. The rest: any thread.
  void Renewed(std::chrono::nanoseconds sent) {
    until_ = (sent + length_ - length_ / 5).count();
  }
  void End() { until_ = 0; }
  // Zero once it is over.
  std::chrono::nanoseconds Left(std::chrono::nanoseconds now) const {
    const int64_t left = until_.load() - now.count();
    return std::chrono::nanoseconds(left > 0 ? left : 0);
  }

 private:
  const std::chrono::milliseconds length_;
  std::atomic<int64_t> until_{0};
};

// A claim on the one shard of a spool. The owner has the greatest epoch of
// all owners so far, which each of its writes proves.
struct ShardClaim {
  int64_t epoch = 0;
  std::string owner;  // unique
  // Number of the last write so far; see PostgresStore.
  int64_t last_write = 0;
};

struct ShardLeaseOptions {
  std::string uri;
  // Length of the lease. Longer: a database that is away, or slow, is survived
  // without a pause of the deliveries; but after a crash it takes this long
  // until another server goes on.
  std::chrono::milliseconds length = std::chrono::seconds(10);
  LeaseClock clock = TimeSinceBoot;
};

// Ownership of the shard: claimed once, then renewed by a thread until it is
// lost or given back. Methods may be called from any thread.
class ShardLease {
 public:
  // The owner, as another server sees it.
  struct Taken {
    std::string owner;
    std::chrono::milliseconds left{};  // by the database's clock
  };

  // Claims the shard if it is free or its lease has expired; else returns who
  // has it. Errors: those of the connection.
  struct Outcome {
    std::unique_ptr<ShardLease> lease;  // null: it is taken
    Taken taken;
  };
  static absl::StatusOr<Outcome> TryClaim(PostgresConnection& connection,
                                          const ShardLeaseOptions& options,
                                          const std::string& owner);

  // Gives the shard back, so that another server may claim it at once, if the
  // database answers within a second or so.
  ~ShardLease();

  const ShardClaim& claim() const { return claim_; }

  // True while nobody else can own the shard. To be asked before every request
  // that counts. False between the end of a lease that could not be renewed and
  // a renewal that succeeds since nobody else had claimed the shard.
  bool Held() const { return !lost() && Left().count() > 0; }
  std::chrono::nanoseconds Left() const { return term_.Left(clock_()); }

  // True once another server owns the shard, or may. Never false again.
  bool lost() const { return lost_; }
  void Lose() {
    lost_ = true;
    term_.End();
  }

  // The error of the last renewal; OK if it succeeded.
  absl::Status last_renewal() const {
    MutexLock lock(mutex_);
    return last_renewal_;
  }

 private:
  ShardLease(const ShardLeaseOptions& options, ShardClaim claim,
             std::chrono::nanoseconds sent);

  void Run();
  absl::Status Renew();
  void GiveBack();
  absl::Status Connect();

  const std::string uri_;
  const LeaseClock clock_;
  const ShardClaim claim_;
  LeaseTerm term_;
  std::atomic<bool> lost_{false};
  std::unique_ptr<PostgresConnection> connection_;  // used by `thread_`

  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status last_renewal_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SHARD_LEASE_H_
