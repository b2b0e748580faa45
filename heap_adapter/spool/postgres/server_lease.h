#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SERVER_LEASE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SERVER_LEASE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/boot_time.h"
#include "base/mutex.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/shards.h"

namespace heapsync {

// The time for which a renewal lets a server go on.
//
// The database counts from when it gets the renewal, on its clock; the server
// from when it sent it, and ends a part of the lease earlier: what it has sent
// by then is at Heap before anybody else can own its shards.
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

struct ServerLeaseOptions {
  std::string uri;
  // Length of the lease. Longer: a database that is away, or slow, is survived
  // without a pause of the deliveries; but after a crash it takes this long
  // until other servers go on.
  std::chrono::milliseconds length = std::chrono::seconds(10);
  BootClock clock = TimeSinceBoot;
};

// The place of a server among those that share a spool, on which its shards
// depend: a row that is there once, then renewed by a thread until it is lost
// or given back. Others remove the row once it has expired, and it never comes
// back: so what belongs to a server that has no row is free. One lease for all
// shards of a server costs one statement, however many it has. Methods may be
// called from any thread.
class ServerLease {
 public:
  // `name`: for people. Errors: those of the connection.
  static absl::StatusOr<std::unique_ptr<ServerLease>> Take(
      PostgresConnection& connection, const ServerLeaseOptions& options,
      const std::string& name);

  // Gives the place up, and with it all shards, so that others may claim them
  // at once, if the database answers within a second or so.
  ~ServerLease() { GiveUp(); }
  // The same before the end. Not by two threads at once.
  void GiveUp();

  ServerId id() const { return id_; }

  // True while nobody else can own what this server has claimed. To be asked
  // before every request that counts. False between the end of a lease that
  // could not be renewed and a renewal that succeeds since nobody has removed
  // the row.
  bool Held() const { return !lost() && Left().count() > 0; }
  std::chrono::nanoseconds Left() const { return term_.Left(clock_()); }

  // True once others may own the shards of this server. Never false again.
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
  ServerLease(const ServerLeaseOptions& options, ServerId id,
              std::chrono::nanoseconds sent);

  void Run();
  absl::Status Renew();
  void GiveBack();
  absl::Status Connect();

  const std::string uri_;
  const BootClock clock_;
  const ServerId id_;
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

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SERVER_LEASE_H_
