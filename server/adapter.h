#ifndef HEAPSYNC_SERVER_ADAPTER_H_
#define HEAPSYNC_SERVER_ADAPTER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/base/pause_watch.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/spool/postgres/postgres_store.h"
#include "heap_adapter/spool/postgres/server_lease.h"
#include "heap_adapter/spool/postgres/sessions.h"
#include "heap_adapter/transport/curl_transport.h"
#include "heap_adapter/transport/gated_transport.h"
#include "server/config/server_config.h"
#include "server/membership.h"
#include "server/observe/attempt_metrics.h"
#include "server/observe/dispatcher_metrics.h"
#include "server/observe/measured_store.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/owner_metrics.h"

namespace heapsync {

// The engines of a server, with what they work on and what is measured of them:
// one over the spool in a folder, which delivers, or one for each shard of a
// shared spool, which deliver from the shards that this server owns. Belongs to
// the main thread, but for what says otherwise.
class Adapter {
 public:
  // Opens the spool in the data folder. Damage that the engine meets when it
  // reads the store is repaired by opening the store again, once. Errors: their
  // messages say what could not be done.
  static absl::StatusOr<std::unique_ptr<Adapter>> OpenFolder(
      const ServerConfig& config);
  // Opens the shards of a shared spool, and delivers from none of them so far.
  // `name`: of this server, for the logs of others.
  static absl::StatusOr<std::unique_ptr<Adapter>> OpenShared(
      const ServerConfig& config, const std::string& name,
      std::unique_ptr<ServerLease> lease);

  // Stops the engines and gives a shared spool back.
  ~Adapter();

  Engines& engines() { return *engines_; }
  MetricDestinations& metric_destinations() { return with_metrics_; }
  // Not owned.
  std::vector<const prometheus::Collectable*> metrics() const;

  // Null: the spool is not shared.
  ServerLease* lease() { return lease_.get(); }
  // The parts of a shared spool. Any thread.
  Ownership ownership() const;
  // True while a write waits for the database.
  bool waiting() const;

  // Delivers from the shards that were claimed, and hands those back that
  // others should have, once their requests have ended. To be called again and
  // again; what cannot be read while the database is away is read later.
  // Errors: those of the spool, which is lost then.
  absl::Status Follow(Membership& membership);
  // No shard is handed back any more: what waits in all of them can be drained.
  void KeepShards();

 private:
  // A shard of a shared spool, or the spool in a folder.
  struct Shard {
    std::atomic<bool> owned{false};
    bool resting = false;  // it is handed back once its requests have ended
    std::unique_ptr<CurlTransport> transport;
    std::unique_ptr<GatedTransport> gated;
    std::unique_ptr<Store> store;
    PostgresStore* shared = nullptr;  // `store`, if the spool is shared
    std::unique_ptr<MeasuredStore> measured;
  };

  Adapter(const ServerConfig& config, const std::string& folder);

  absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(
      const ServerConfig& config, const std::string& folder,
      DestinationConfig destinations, Shard& shard);
  absl::StatusOr<std::unique_ptr<Engine>> StartOnFolder(
      const ServerConfig& config, const std::string& folder, Shard& shard);
  absl::Status TakeClaims(Membership& membership);
  absl::Status Take(const ShardClaim& claim);
  absl::Status HandBack(size_t number, Membership& membership);

  std::string name_;  // of a server that shares its spool

  // In the order in which they need each other.
  MetricDestinations with_metrics_;
  AttemptMetrics attempts_;
  DispatcherMetrics dispatcher_;
  PauseWatch pauses_;
  std::optional<PauseWatchThread> pause_thread_;  // if the spool is shared
  SpoolMetrics spool_;
  std::unique_ptr<PostgresSessions> sessions_;
  std::unique_ptr<ServerLease> lease_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<ShardClaim> claims_;  // of which nothing is delivered so far
  std::unique_ptr<Engines> engines_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADAPTER_H_
