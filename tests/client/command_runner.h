#ifndef HEAPSYNC_TESTS_CLIENT_COMMAND_RUNNER_H_
#define HEAPSYNC_TESTS_CLIENT_COMMAND_RUNNER_H_

#include <sstream>
#include <string>
#include <vector>

#include "client/cli/command_line.h"

namespace heapsync {

struct CommandResult {
  int exit_code;
  std::string out;
  std::string err;
};

// Runs the `heapsync` command inside this process.
inline CommandResult RunCommand(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"heapsync"};
  for (const std::string& argument : arguments)
    argv.push_back(argument.c_str());
  std::ostringstream out, err;
  const int exit_code =
      RunCommandLine(static_cast<int>(argv.size()), argv.data(), out, err);
  return {exit_code, out.str(), err.str()};
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_CLIENT_COMMAND_RUNNER_H_
