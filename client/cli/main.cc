#include <cstdlib>
#include <iostream>

#include "client/cli/command_line.h"

int main(int argc, char** argv) {
  // gRPC's log would stand between the lines of progress, and its errors are
  // those of the calls, too.
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const int code = heapsync::RunCommandLine(argc, argv, std::cout, std::cerr);
  // A summary that nobody gets is no success.
  if (code == 0 && !std::cout.flush()) {
    std::cerr << "heapsync: cannot write to standard output\n";
    return 1;
  }
  return code;
}
