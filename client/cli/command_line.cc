#include "client/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/cli/command.h"

namespace heapsync {
namespace {

// The arguments from the last to the first, as CLI11 takes them. It takes the
// next argument for the value of "--flag=", so that an empty variable of a
// script would make an input file of --rejects=; here that value is empty.
std::vector<std::string> Reversed(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    const bool empty = absl::StartsWith(argument, "--") &&
                       absl::ConsumeSuffix(&argument, "=") &&
                       !absl::StrContains(argument, '=');
    arguments.emplace_back(argument);
    if (empty) arguments.emplace_back();
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

}  // namespace

void DeclareCommands(CLI::App& program, CommandContext& context) {
  program.name("heapsync");
  program.description(
      "Sends events and properties to Heap through a Heap Sync server.");
  program.footer(
      "Exit codes: 0 done; 1 failed; 2 wrong flags, or flags that do not fit "
      "the input; 3 imported, with some rows rejected.");
  program.require_subcommand(1);
  program.set_version_flag("--version", "heapsync " HEAPSYNC_VERSION);
  AddItemCommands(program, context);
  AddImportCommand(program, context);
  AddHealthCommand(program, context);
  AddTokenCommand(program, context);
  AddAdminCommands(program, context);
  AddDeadLetterCommands(program, context);
}

int RunCommandLine(int argc, const char* const* argv, std::ostream& out,
                   std::ostream& err) {
  CommandContext context{.out = out, .err = err};
  CLI::App program;
  DeclareCommands(program, context);
  try {
    program.parse(Reversed(argc, argv));
  } catch (const CLI::ParseError& error) {
    // Help and version come this way too, with code 0.
    return program.exit(error, out, err) == 0 ? kExitOk : kExitUsage;
  }
  return context.exit_code;
}

}  // namespace heapsync
