#ifndef HEAPSYNC_HEAP_ADAPTER_MEMBERSHIP_H_
#define HEAPSYNC_HEAP_ADAPTER_MEMBERSHIP_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "heap_adapter/adapter.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/other_writers.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "heap_adapter/spool/postgres/server_lease.h"
#include "heap_adapter/spool/postgres/shard_table.h"

namespace heapsync {

// A thread that does what a member of the cluster does beside serving, in one
// database: it sees to it that this server has its fair part of the shards
// there, and looks for what others append to them. What it claims is taken by
// the thread of SpoolDatabase, which delivers from it; what there is too much
// of, that one ends to deliver and releases. Any thread may ask. Shards have
// the database's own numbers.
class Membership {
 public:
  // Called by the thread; must not block.
  struct Hooks {
    // Others may have appended to a shard that this server has claimed.
    std::function<void(int32_t shard)> look;
    // The database did not answer.
    std::function<void(const absl::Status&)> away;
  };

  // A connection to the database, which is set up if it is not yet; gives
  // `part` its spool's number. Errors: kFailedPrecondition if its set-up is
  // wrong, and those of the connection.
  static absl::StatusOr<std::unique_ptr<PostgresConnection>> Connected(
      const std::string& uri, SpoolPart& part);

  // `connection` is one to `uri`, and `part` what Connected() has found there.
  // `lease` must outlive this.
  Membership(std::string uri, const SpoolPart& part,
             std::unique_ptr<PostgresConnection> connection, ServerLease& lease,
             Hooks hooks);
  ~Membership() { Stop(); }

  // Nothing is claimed any more when this returns. By the thread of the
  // destructor.
  void Stop();

  // The shards that were claimed since the last call.
  std::vector<ShardClaim> TakeClaims();
  // Shards of this server that others should have. Until they are released,
  // this may change.
  std::vector<int32_t> ToGiveBack() const;
  // This server writes and sends nothing of the shard any more.
  void Release(int32_t shard);

  // True if the database answered last time; error() is its error otherwise.
  bool reachable() const { return reachable_; }
  std::string error() const;
  // The servers and the owners, as they were last read.
  ClusterView cluster() const;

 private:
  using Time = std::chrono::steady_clock::time_point;

  void Run();
  absl::Status Connect();
  absl::Status Round();
  absl::Status HaveFairPart(Time now);
  absl::Status ReleaseAll();
  absl::Status Claim(const std::vector<int32_t>& shards,
                     const ShardTable::View& view);
  void Publish(const ShardTable::View& view, std::vector<int32_t> give_back);
  absl::Status LookForAppends(Time now);
  absl::Status KeepOrder(Time now);

  const std::string uri_;
  SpoolPart part_;
  ServerLease& lease_;
  const Hooks hooks_;
  std::atomic<bool> reachable_{true};

  // Used by the thread.
  std::unique_ptr<PostgresConnection> connection_;
  Time connected_at_;
  absl::flat_hash_set<int32_t> own_;  // claimed, and not given back so far
  OtherWriters others_;
  Time wrote_at_;
  Time looked_at_;
  Time order_kept_at_;
  Time seen_at_;

  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<ShardClaim> claims_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> give_back_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> released_ ABSL_GUARDED_BY(mutex_);
  ClusterView cluster_ ABSL_GUARDED_BY(mutex_);
  std::string error_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MEMBERSHIP_H_
