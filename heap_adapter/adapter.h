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

class EngineMaker;
struct EngineParts;
class SpoolDatabase;

// A spool in PostgreSQL, which servers share.
struct SharedSpoolOptions {
  // Its databases, in the order in which it was made; see CheckSpoolUri(). At
  // most as many as `shards`.
  std::vector<std::string> uris;
  // Parts of it, which its servers deliver from. They are dealt out to the
  // databases in turn.
  uint32_t shards = 16;
  // The lease of a server, in each database; see ServerLeaseOptions.
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
  // Of several databases, this one, counted from zero, cannot be used, and can
  // be again. `where` has no credentials.
  std::function<void(int32_t database, const std::string& where,
                     const absl::Status& why)>
      database_away;
  std::function<void(int32_t database, const std::string& where)> database_back;
  // This server has lost its place there, and takes a new one.
  std::function<void(int32_t database, const std::string& where,
                     const absl::Status& why)>
      database_left;
};

// The place of a server among those that share a spool. Gives it up at its end.
class JoinedSpool {
 public:
  // Tries once to take a place in every database. Errors: kFailedPrecondition
  // if the set-up of one is wrong, and those of the connection.
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
  struct Database {
    std::string where;  // host, port and name
    bool usable = false;
    std::string trouble;  // why it is not
    // Time for which this server goes on there without a renewal of its lease.
    std::chrono::nanoseconds lease_left{};
  };
  std::vector<Member> members;
  std::vector<std::string> owners;  // of each shard; empty: nobody
  std::vector<Database> databases;
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
  // Opens the shards of a shared spool. A thread for each of its databases
  // claims this server's part of them and delivers from it, hands those back
  // that others should have, and reads now and then what the owners of the
  // others publish.
  static absl::StatusOr<std::unique_ptr<Adapter>> OpenShared(
      AdapterOptions options, AdapterEvents events,
      std::unique_ptr<JoinedSpool> joined);

  // Stops the engines and gives a shared spool back.
  ~Adapter();

  Engines& engines() { return *engines_; }
  bool shared() const { return joined_ != nullptr; }

  // The rest is for a shared spool, and does nothing without one. Any thread,
  // but for KeepShards().

  // For each shard, whether this server delivers from it.
  std::vector<bool> OwnedShards() const;
  ClusterView Cluster() const;
  // True if one of the databases at least answered last time, and no write
  // waits there; trouble() is the error of one that did not.
  bool usable() const;
  std::string trouble() const;
  // True if this server has to end: others may own its shards, or they cannot
  // be read. Only with a single database; one of several is joined again.
  bool lost() const;
  // No shard is claimed or handed back any more: what waits in all of them can
  // be drained.
  void KeepShards();

 private:
  Adapter(AdapterOptions options, AdapterEvents events);

  absl::StatusOr<std::unique_ptr<Engine>> StartOnFolder(
      const std::string& folder);

  const AdapterOptions options_;
  const AdapterEvents events_;
  // In the order in which they need each other.
  std::unique_ptr<JoinedSpool::Parts> joined_;  // null unless shared
  std::unique_ptr<EngineMaker> maker_;
  std::unique_ptr<EngineParts> folder_parts_;  // null if shared
  std::vector<std::unique_ptr<SpoolDatabase>> databases_;
  std::unique_ptr<Engines> engines_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ADAPTER_H_
