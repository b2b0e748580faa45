#ifndef HEAPSYNC_SERVER_JOIN_SPOOL_H_
#define HEAPSYNC_SERVER_JOIN_SPOOL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "heap_adapter/adapter.h"
#include "server/config/server_config.h"
#include "server/standby_ports.h"

namespace heapsync {

// A server that has its place among those that share a spool.
struct Joined {
  std::unique_ptr<JoinedSpool> spool;  // null: a stop signal came first
  // The ports of the wait, still open; null if there was no wait.
  std::unique_ptr<StandbyPorts> standby;
};

// Waits until every database of `config.spool` can be used, and takes a place
// in each. Belongs to the main thread. Errors: the set-up of a database is
// wrong, or a port cannot be opened.
absl::StatusOr<Joined> JoinSpool(const ServerConfig& config);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_JOIN_SPOOL_H_
