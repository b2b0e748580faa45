#ifndef HEAPSYNC_SERVER_MEMBERSHIP_H_
#define HEAPSYNC_SERVER_MEMBERSHIP_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/other_writers.h"
#include "heap_adapter/spool/postgres/shard_lease.h"
#include "server/config/server_config.h"
#include "server/standby_ports.h"

namespace heapsync {

// The attempts of one server to own the spool. One thread at a time.
class SpoolCandidate {
 public:
  explicit SpoolCandidate(const ServerConfig& config);

  // See ShardLease::TryClaim(). Makes and checks the tables first.
  absl::StatusOr<ShardLease::Outcome> Try();

  // Unique, and tells a person where to look.
  const std::string& name() const { return name_; }

  // Connects if necessary. Errors: those of the connection and the tables.
  absl::Status Connect();
  // The connection of the last Connect() that succeeded.
  PostgresConnection& connection() { return *connection_; }

 private:
  const ShardLeaseOptions options_;
  const std::string name_;
  std::unique_ptr<PostgresConnection> connection_;
};

// A server that can use the spool's database.
struct Joined {
  std::unique_ptr<SpoolCandidate> candidate;  // null: a stop signal came first
  std::unique_ptr<ShardLease> lease;          // null: another server has it
  // The ports of the wait, still open; null if there was no wait.
  std::unique_ptr<StandbyPorts> standby;
};

// Waits until the database of `config.spool` can be used. Belongs to the main
// thread. Errors: the set-up of the database is wrong, or a port cannot be
// opened.
absl::StatusOr<Joined> JoinSpool(const ServerConfig& config);

// A thread that does what a member of the cluster does beside serving. While it
// does not own the spool, it tries to; after that it looks for what others
// append. Any thread may ask.
class Membership {
 public:
  // `engine` must outlive this. `owns`: the spool is this server's already.
  // `writer`: see PostgresStore::writer_id().
  Membership(std::unique_ptr<SpoolCandidate> candidate, bool owns,
             int64_t writer, Engine& engine);
  ~Membership() { Stop(); }

  // Nothing is claimed any more when this returns. By the thread of the
  // destructor.
  void Stop();

  // The lease, once it was claimed; null otherwise, and after the first time.
  std::unique_ptr<ShardLease> TakeLease();
  // True if the database answered last time; error() is its error otherwise.
  bool reachable() const { return reachable_; }
  std::string error() const;
  // The name of the last known owner of the spool; empty: this server.
  std::string owner() const;

 private:
  using Time = std::chrono::steady_clock::time_point;

  void Run();
  absl::Status Round();
  absl::Status TryToOwn();
  absl::Status LookForAppends(Time now);
  absl::Status KeepOrder(Time now);

  const std::unique_ptr<SpoolCandidate> candidate_;
  const int64_t writer_;
  Engine& engine_;
  std::atomic<bool> reachable_{true};

  // Used by the thread.
  bool owns_;
  OtherWriters others_;
  Time wrote_at_;
  Time looked_at_;
  Time order_kept_at_;
  Time seen_at_;

  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<ShardLease> lease_ ABSL_GUARDED_BY(mutex_);
  std::string owner_ ABSL_GUARDED_BY(mutex_);
  std::string error_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_MEMBERSHIP_H_
