#include <optional>
#include <string>

#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "client/cli/command_options.h"
#include "server/access/token.h"

namespace heapsync {

void AddTokenCommand(CLI::App& program, CommandContext& context) {
  CLI::App& command = AddSubcommand(
      program, "token",
      "Makes a token for a caller, and the hash that the server's --auth file "
      "takes. Asks no server. The token is shown once: keep it in a file that "
      "only the caller can read.");
  OnRun(command, [&context] {
    const std::optional<std::string> token = NewToken();
    if (!token.has_value()) {
      context.err << "heapsync: the system has no randomness\n";
      context.exit_code = kExitFailed;
      return;
    }
    context.out << "token:        " << *token << "\n"
                << "token_sha256: " << ToHex(HashOf(*token)) << "\n";
  });
}

}  // namespace heapsync
