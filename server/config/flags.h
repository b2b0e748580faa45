#ifndef HEAPSYNC_SERVER_CONFIG_FLAGS_H_
#define HEAPSYNC_SERVER_CONFIG_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/config/server_config.h"

namespace heapsync {

// The environment and the files of this process.
Surroundings ProcessSurroundings();

// Parses the command line of heapsync-server and builds its configuration; see
// BuildServerConfig() for the order of precedence and the errors. Ends the
// process on --help, --version and a flag that does not exist, as absl::flags
// does. To be called before other threads start.
absl::StatusOr<ServerConfig> LoadServerConfig(
    int argc, char** argv,
    const Surroundings& surroundings = ProcessSurroundings());

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_FLAGS_H_
