#include <iostream>

#include "client/cli/command_line.h"

int main(int argc, char** argv) {
  return heapsync::RunCommandLine(argc, argv, std::cout, std::cerr);
}
