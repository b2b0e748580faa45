#ifndef HEAPSYNC_CLIENT_CLI_COMMAND_LINE_H_
#define HEAPSYNC_CLIENT_CLI_COMMAND_LINE_H_

#include <ostream>

namespace CLI {
class App;
}  // namespace CLI

namespace heapsync {

struct CommandContext;

// Exit codes of the process.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,    // the server, the network or a file; not serving
  kExitUsage = 2,     // the flags, or flags that do not fit the input
  kExitRejected = 3,  // the import ended with some rows rejected
};

// Gives an empty `program` the name, flags and subcommands of `heapsync`.
// `context` must outlive it.
void DeclareCommands(CLI::App& program, CommandContext& context);

// Runs the `heapsync` command and returns its exit code. Results go to `out`,
// errors and progress to `err`.
int RunCommandLine(int argc, const char* const* argv, std::ostream& out,
                   std::ostream& err);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_COMMAND_LINE_H_
