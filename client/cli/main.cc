#include <cstdlib>
#include <iostream>

#include "client/cli/command_line.h"

int main(int argc, char** argv) {
  // What gRPC meets on the way is shown as the error of a call, not as a log
  // between the lines of progress.
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  return heapsync::RunCommandLine(argc, argv, std::cout, std::cerr);
}
