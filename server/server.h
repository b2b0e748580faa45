#ifndef HEAPSYNC_SERVER_SERVER_H_
#define HEAPSYNC_SERVER_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace heapsync {

// The end of a server.
enum class ServerEnd {
  kStopped,   // as it was asked to
  kLostSpool  // another server owns the shared spool, or its database is away
};

// A running heapsync-server: the engine over its spool, the gRPC port, the HTTP
// port, and what reloads the configuration.
//
// Belongs to the main thread. REQUIRES: BlockSignals() was called.
class HeapSyncServer {
 public:
  // Opens the spool and serves. With a shared spool it waits until the database
  // can be used; null if a stop signal comes meanwhile. It accepts from then
  // on, and delivers from the shards that it owns. Errors: their
  // messages say what could not be done; nothing of the server is left running
  // then.
  static absl::StatusOr<std::unique_ptr<HeapSyncServer>> Start(
      const ServerConfig& config);

  virtual ~HeapSyncServer() = default;

  // Serves until SIGTERM or SIGINT, then drains and stops; or until it has lost
  // a shared spool, and stops without draining. A second signal, or a stop that
  // hangs, ends the process at once.
  virtual ServerEnd Wait() = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_SERVER_H_
