#ifndef HEAPSYNC_SERVER_SERVER_H_
#define HEAPSYNC_SERVER_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace heapsync {

// A running heapsync-server: the engine over its spool, the gRPC port, the HTTP
// port, and what reloads the configuration.
//
// Belongs to the main thread. REQUIRES: BlockSignals() was called.
class HeapSyncServer {
 public:
  // Opens the spool and serves. Errors: their messages say what could not be
  // done; nothing of the server is left running then.
  static absl::StatusOr<std::unique_ptr<HeapSyncServer>> Start(
      const ServerConfig& config);

  virtual ~HeapSyncServer() = default;

  // Serves until SIGTERM or SIGINT, then drains and stops. A second signal, or
  // a stop that hangs, ends the process at once.
  virtual void Wait() = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_SERVER_H_
