#ifndef HEAPSYNC_CLIENT_CLI_COMMAND_LINE_H_
#define HEAPSYNC_CLIENT_CLI_COMMAND_LINE_H_

#include <ostream>

namespace heapsync {

// What the process ends with.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,    // the server, a file or the way there; not serving
  kExitUsage = 2,     // the flags, or flags that do not fit the input
  kExitRejected = 3,  // the import ended, and some rows were refused
};

// Runs the `heapsync` command and returns its exit code. Results go to `out`,
// errors and progress to `err`.
int RunCommandLine(int argc, const char* const* argv, std::ostream& out,
                   std::ostream& err);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_COMMAND_LINE_H_
