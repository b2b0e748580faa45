// Writes the manual pages and bash completions of the programs into a folder,
// as the packages install them.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "packaging/program_reference.h"
#include "server/config/command_line.h"

namespace heapsync {
namespace {

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::exit(EXIT_FAILURE);
  }
}

void WriteReference(const CLI::App& program, int section,
                    const std::string& see_also, const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", program.get_name());
  const ManualPage page{.section = section,
                        .source = "Heap Sync " HEAPSYNC_VERSION,
                        .see_also = see_also};
  WriteFile(absl::StrCat(path, ".", section), MakeManualPage(program, page));
  WriteFile(path + ".bash", MakeBashCompletion(program));
}

void WriteReferences(const std::string& folder) {
  CommandContext context{.out = std::cout, .err = std::cerr};
  CLI::App command;
  DeclareCommands(command, context);
  WriteReference(command, 1, "heapsync-server(8)", folder);
  CLI::App server;
  DeclareServerFlags(server);
  WriteReference(server, 8, "heapsync(1)", folder);
}

}  // namespace
}  // namespace heapsync

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "write_references FOLDER\n");
    return EXIT_FAILURE;
  }
  heapsync::WriteReferences(argv[1]);
  return EXIT_SUCCESS;
}
