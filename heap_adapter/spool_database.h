#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_DATABASE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_DATABASE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "heap_adapter/adapter.h"
#include "heap_adapter/engine_maker.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/membership.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/postgres/postgres_store.h"
#include "heap_adapter/spool/postgres/schema.h"
#include "heap_adapter/spool/postgres/server_lease.h"
#include "heap_adapter/spool/postgres/sessions.h"

namespace heapsync {

struct SpoolDatabaseOptions {
  std::string uri;
  SpoolPart part;
  std::chrono::milliseconds lease{};
  std::chrono::milliseconds patience{};  // of writes
  std::string server_name;               // for people
};

// The place of a server among those that use one database of a spool.
struct JoinedDatabase {
  // Tries once to connect; sets the spool's number in `options`. Errors: those
  // of Membership::Connected(); where there are several databases their
  // messages say which one it is.
  static absl::StatusOr<JoinedDatabase> Connect(SpoolDatabaseOptions& options);
  // Takes a place, of which the others hear: they make room for this server.
  // Errors: those of ServerLease::Take(), in the same way.
  absl::Status TakePlace(const SpoolDatabaseOptions& options);

  std::unique_ptr<PostgresSessions> sessions;
  std::unique_ptr<PostgresConnection> connection;
  std::unique_ptr<ServerLease> lease;
};

// One database of a shared spool, in one server: the shards that lie there,
// with the lease on which they depend. A thread delivers from those that this
// server has claimed, hands back those that others should have, and reads what
// the owners of the others publish.
//
// Where there are several databases, each keeps to itself. While one is away,
// its shards are set away in Engines. A server that has lost its place in it,
// or one of whose engines has given up to write, leaves it: it stops those
// engines as at the end of the process, takes a new place as soon as the
// database lets it, and replaces the engines. With a single database, the
// process ends instead; see lost().
class SpoolDatabase {
 public:
  // Everything given by reference must outlive this.
  SpoolDatabase(SpoolDatabaseOptions options, JoinedDatabase joined,
                const EngineMaker& maker, const AdapterEvents& events);
  // Engines must have been stopped by Leave(), or destroyed.
  ~SpoolDatabase();

  const SpoolPart& part() const { return options_.part; }

  // The engine for each of its shards, in the order of their own numbers, with
  // its part of `destinations` by the numbers in the spool. Once. Errors: those
  // of Engine::Open().
  absl::StatusOr<std::vector<std::unique_ptr<Engine>>> OpenEngines(
      const std::vector<DestinationConfig>& destinations);
  // Begins its work. `engines` must outlive it. Once.
  void Begin(Engines& engines);
  // Its work ends: no shard is claimed or handed back any more, nor a place
  // taken. AskToEnd() does not wait. Later calls have no effect.
  void AskToEnd();
  void End();
  // After End(): stops the engines and gives the place up.
  void Leave();

  // The rest: any thread.
  std::chrono::nanoseconds LeaseLeft() const;
  // For each of its shards, whether this server delivers from it.
  std::vector<bool> OwnedShards() const;
  // The servers and the owners of its shards.
  ClusterView Cluster() const;
  // True while a write waits for the database.
  bool waiting() const;
  // True if the database answered last time, and this server has a place there;
  // trouble() tells why not.
  bool usable() const;
  std::string trouble() const;
  // True if others may own the shards, or they cannot be read. Only with a
  // single database.
  bool lost() const { return lost_; }

 private:
  struct Shard {
    EngineParts parts;
    PostgresStore* store = nullptr;  // that of `parts`
    std::atomic<bool> owned{false};
    // The rest is used by the thread.
    std::optional<ShardClaim> claim;  // from which nothing is delivered so far
    bool resting = false;  // it is handed back once its requests have ended
  };
  // All that depends on one place in the database. Kept after the place was
  // lost, since calls may still have the engines over it.
  struct Tenure {
    JoinedDatabase joined;
    std::vector<std::unique_ptr<Shard>> shards;
    std::unique_ptr<Membership> membership;
  };

  bool has_neighbours() const { return options_.part.databases > 1; }
  size_t InSpool(size_t own) const {
    return static_cast<size_t>(
        options_.part.ShardOf(static_cast<int32_t>(own)));
  }
  Engine& EngineOf(size_t own) const { return (*engines_)[InSpool(own)]; }
  Tenure& tenure() const { return *tenure_.load(std::memory_order_acquire); }

  void Run();
  void Turn(MonotonicTime now);
  absl::Status Follow(MonotonicTime now);
  absl::Status TakeClaims();
  absl::Status Take(const ShardClaim& claim);
  absl::Status MoveShards();
  absl::Status HandBack(size_t own);
  void ReadFigures(MonotonicTime now);
  // Not OK: why this server has to take a new place.
  absl::Status CheckPlace() const;
  absl::Status JoinAgain();
  void OpenMembership(Tenure& of);
  std::unique_ptr<Tenure> NewTenure(JoinedDatabase joined) const;
  absl::StatusOr<std::vector<std::unique_ptr<Engine>>> OpenEnginesOf(
      Tenure& of,
      const std::function<DestinationConfig(size_t shard)>& destinations) const;
  absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(
      const DestinationConfig& destinations, EngineParts& parts) const;
  void LosePatience();
  void SetAway(const absl::Status& why);
  void SetBack();

  SpoolDatabaseOptions options_;
  const EngineMaker& maker_;
  const AdapterEvents& events_;
  Engines* engines_ = nullptr;
  std::atomic<Tenure*> tenure_{nullptr};  // the present one
  std::vector<std::unique_ptr<Tenure>> tenures_;
  std::atomic<bool> lost_{false};
  // False from the loss of its place until there is another one.
  std::atomic<bool> joined_{true};

  // Used by the thread.
  size_t next_taken_ = 0;  // see TakeClaims()
  MonotonicTime figures_read_at_;
  MonotonicTime joined_at_;
  MonotonicTime next_join_;
  Duration stay_{};  // at least this long from one place to the next

  mutable Mutex mutex_;
  mutable CondVar wake_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::string trouble_ ABSL_GUARDED_BY(mutex_);  // while not joined
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_DATABASE_H_
