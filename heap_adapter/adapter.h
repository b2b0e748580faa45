#ifndef HEAPSYNC_HEAP_ADAPTER_ADAPTER_H_
#define HEAPSYNC_HEAP_ADAPTER_ADAPTER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/spool/measured_store.h"

namespace heapsync {

class Membership;
struct ShardClaim;

// A spool in PostgreSQL, which servers share.
struct SharedSpoolOptions {
  std::string uri;  // see CheckSpoolUri()
  // Parts of it, which its servers deliver from.
  uint32_t shards = 16;
  // The lease of a server; see ServerLeaseOptions.
  std::chrono::milliseconds lease = std::chrono::seconds(10);
  // Time for which a write waits for the database.
  std::chrono::milliseconds patience = std::chrono::minutes(15);
};

struct AdapterOptions {
  DestinationConfig destinations;
  // Holds the spool, unless that is shared. Made if it is not there.
  std::string data_folder;
  SharedSpoolOptions shared_spool;
  // See EngineOptions.
  DeliveryRules delivery;
  uint64_t min_free_disk_bytes = 256 << 20;
  // The way of requests to Heap; see CurlTransportOptions.
  std::string extra_roots;
  std::string proxy;
  std::string proxy_user;
  std::string proxy_password;
  std::string user_agent = "heapsync";
};

// Events of an adapter's work, for logs and metrics. The functions are
// called by threads of several engines at once, must not block, and may not be
// null.
struct AdapterEvents {
  AttemptSink attempt;
  ExpirySink expiry;
  // See EngineOptions::on_step.
  std::function<void(Duration)> step;
  std::function<void(const StoreWrite&)> write;
  // A change that was made because another server was asked for it.
  std::function<void(const ObeyedCommand&)> command;
  // A fault of the spool's files, a line.
  std::function<void(const std::string&)> damage;
  // The error for which a write waits for the database.
  std::function<void(const std::string&)> write_waits;
  // This server begins, and has ended, to deliver from a shard.
  std::function<void(int32_t shard, int64_t epoch)> shard_taken;
  std::function<void(int32_t shard)> shard_handed_back;
};

// The place of a server among those that share a spool. Gives it up at its end.
class JoinedSpool {
 public:
  // Tries once to take a place. Errors: kFailedPrecondition if the set-up of
  // the database is wrong, and those of the connection.
  static absl::StatusOr<std::unique_ptr<JoinedSpool>> Join(
      const SharedSpoolOptions& options);
  ~JoinedSpool();

 private:
  friend class Adapter;
  struct Parts;
  explicit JoinedSpool(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

// The servers that share a spool, as one of them last saw them.
struct ClusterView {
  struct Member {
    std::string name;
    size_t shards = 0;  // that it owns
    bool self = false;
  };
  std::vector<Member> members;
  std::vector<std::string> owners;  // of each shard; empty: nobody
};

// The engines of a server, with the spool and the connections to Heap that they
// work on: one over the spool in a folder, which delivers, or one for each
// shard of a shared spool, which deliver from the shards that this server owns.
// This and engines.h are the doors for a server. Belongs to one thread, but for
// what says otherwise.
class Adapter {
 public:
  // Opens the spool in the data folder. Damage that the engine meets when it
  // reads the store is repaired by opening the store again, once. Errors: their
  // messages say what could not be done.
  static absl::StatusOr<std::unique_ptr<Adapter>> OpenFolder(
      AdapterOptions options, AdapterEvents events);
  // Opens the shards of a shared spool. A thread begins to claim this server's
  // part of them, which Follow() takes.
  static absl::StatusOr<std::unique_ptr<Adapter>> OpenShared(
      AdapterOptions options, AdapterEvents events,
      std::unique_ptr<JoinedSpool> joined);

  // Stops the engines and gives a shared spool back.
  ~Adapter();

  Engines& engines() { return *engines_; }
  bool shared() const { return membership_ != nullptr; }

  // The rest is for a shared spool, and does nothing without one.

  // Time for which this server goes on without a renewal of its lease. Any
  // thread.
  std::chrono::nanoseconds LeaseLeft() const;
  // For each shard, whether this server delivers from it. Any thread.
  std::vector<bool> OwnedShards() const;
  // Any thread.
  ClusterView Cluster() const;
  // True while a write waits for the database.
  bool waiting() const;
  // True if the database answered last time; trouble() is its error otherwise.
  // Any thread.
  bool reachable() const;
  std::string trouble() const;
  // True once others may own the shards of this server: it has to end.
  bool lost() const;

  // Delivers from the shards that were claimed, hands those back that others
  // should have, once their requests have ended, and reads now and then what
  // the owners of the others publish. To be called again and again; what cannot
  // be read while the database is away is read later. Errors: those of the
  // spool, which is lost then.
  absl::Status Follow(MonotonicTime now);
  // No shard is claimed or handed back any more: what waits in all of them can
  // be drained.
  void KeepShards();

 private:
  struct Shard;

  Adapter(AdapterOptions options, AdapterEvents events);

  absl::StatusOr<std::unique_ptr<Engine>> OpenEngine(
      const std::string& folder, DestinationConfig destinations, Shard& shard);
  absl::StatusOr<std::unique_ptr<Engine>> StartOnFolder(
      const std::string& folder, Shard& shard);
  EngineOptions EngineOptionsFor(const std::string& folder,
                                 DestinationConfig destinations) const;
  void OpenTransport(std::function<bool()> may_send, Shard& shard) const;
  void OpenStore(int32_t number, Shard& shard);
  // Delivers from what was claimed, shard by shard, as far as it can be read.
  absl::Status TakeClaims();
  absl::Status Take(const ShardClaim& claim);
  absl::Status HandBack(size_t number);
  void ReadFigures(MonotonicTime now);

  const AdapterOptions options_;
  const AdapterEvents events_;
  // In the order in which they need each other.
  std::unique_ptr<JoinedSpool::Parts> joined_;  // null unless shared
  std::vector<std::unique_ptr<Shard>> shards_;
  size_t next_taken_ = 0;  // see TakeClaims()
  std::unique_ptr<Engines> engines_;
  std::unique_ptr<Membership> membership_;  // null unless shared
  MonotonicTime figures_read_at_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ADAPTER_H_
