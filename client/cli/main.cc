#include <cstdlib>
#include <iostream>

#include "client/cli/command_line.h"

int main(int argc, char** argv) {
  // What gRPC meets on the way is shown as the error of a call, not as a log
  // between the lines of progress.
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const int code = heapsync::RunCommandLine(argc, argv, std::cout, std::cerr);
  // A summary that nobody gets is no success.
  if (code == 0 && !std::cout.flush()) {
    std::cerr << "heapsync: cannot write to standard output\n";
    return 1;
  }
  return code;
}
