#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SHARD_TABLE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SHARD_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/shards.h"

namespace heapsync {

// A claim on a shard. The owner has the greatest epoch of all owners so far,
// which each of its writes proves.
struct ShardClaim {
  int32_t shard = 0;
  int64_t epoch = 0;
  // Number of the last write so far; see PostgresStore.
  int64_t last_write = 0;
};

// The servers that share a spool, and who of them owns which shard, as the
// database has it. One that has no row, or has given a shard back, does not own
// it: then another may claim it. Errors of all are those of the connection.
class ShardTable {
 public:
  struct Server {
    ServerId id = kNoServer;
    std::string name;
    bool expired = false;  // nobody has removed its row so far
  };
  struct Shard {
    ServerId owner = kNoServer;  // kNoServer: free
    int64_t epoch = 0;
  };
  struct View {
    std::vector<Server> servers;
    std::vector<Shard> shards;

    ShareView shares() const;
    // The name of a shard's owner; empty if it is free.
    std::string OwnerOf(int32_t shard) const;
  };

  // Also kFailedPrecondition if the shards are not those of the set-up.
  static absl::StatusOr<View> Read(PostgresConnection& connection,
                                   SqlDeadline deadline);

  // Removes the servers whose leases have expired, permanently: what they own
  // is free then. Not `self`, which is here and renews its own.
  static absl::Status RemoveExpired(PostgresConnection& connection,
                                    ServerId self, SqlDeadline deadline);

  // Claims a shard for `server` that had `seen_epoch`. None: it has changed
  // meanwhile, is not free, or the server itself has been removed. Waits for
  // transactions of a former owner that have begun.
  static absl::StatusOr<std::optional<ShardClaim>> Claim(
      PostgresConnection& connection, int32_t shard, int64_t seen_epoch,
      ServerId server, SqlDeadline deadline);

  // Gives a shard back, from which its owner writes and sends nothing any more.
  static absl::Status GiveBack(PostgresConnection& connection, int32_t shard,
                               ServerId server, SqlDeadline deadline);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SHARD_TABLE_H_
