#ifndef HEAPSYNC_SERVER_CONFIG_COMMAND_LINE_H_
#define HEAPSYNC_SERVER_CONFIG_COMMAND_LINE_H_

#include "absl/status/statusor.h"
#include "base/environment_names.h"
#include "server/config/server_config.h"

namespace CLI {
class App;
}  // namespace CLI

namespace heapsync {

// Gives an empty `program` the name and the flags of heapsync-server, without
// taking their values: for its manual page.
void DeclareServerFlags(CLI::App& program);

// The environment and the files of this process.
Surroundings ProcessSurroundings();

// The variables that look like settings of the server and are none.
StrayVariables StrayVariablesOf(const Environment& environment);

// Parses the command line of heapsync-server, whose flags are Settings(), and
// builds its configuration; see BuildServerConfig() for the order of precedence
// and the errors, among which are unknown flags and misspelt variables. Prints
// and ends the process on --help and --version. To be called before other
// threads start.
absl::StatusOr<ServerConfig> LoadServerConfig(
    int argc, const char* const* argv,
    const Surroundings& surroundings = ProcessSurroundings());

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_COMMAND_LINE_H_
