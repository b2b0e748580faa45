#ifndef HEAPSYNC_SERVER_OWNERSHIP_H_
#define HEAPSYNC_SERVER_OWNERSHIP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "heap_adapter/spool/postgres/shard_lease.h"
#include "server/config/server_config.h"
#include "server/standby_ports.h"

namespace heapsync {

struct Ownership {
  // Null: a stop signal came first.
  std::unique_ptr<ShardLease> lease;
  // The ports of the wait, still open; null if there was no wait.
  std::unique_ptr<StandbyPorts> standby;
};

// Waits until this server owns the spool of `config.spool`, as a standby while
// another one does or the database is away. Belongs to the main thread. Errors:
// the set-up of the database is wrong, or a port cannot be opened.
absl::StatusOr<Ownership> WaitForOwnership(const ServerConfig& config);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OWNERSHIP_H_
