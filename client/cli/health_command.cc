#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/command_line.h"
#include "client/cli/command_options.h"
#include "heapsync/client/client.h"

namespace heapsync {

void AddHealthCommand(CLI::App& program, CommandContext& context) {
  struct Flags {
    ServerFlags server;
    std::string service;
  };
  // Shared with the callback, which is copied.
  const auto flags = std::make_shared<Flags>();
  CLI::App& command =
      AddSubcommand(program, "health",
                    "Asks whether the server is serving: exit code 0, else 1.");
  AddText(command, "--service", flags->service,
          "a service's full name; empty: the server as a whole");
  AddServerFlags(command, flags->server, "5s", "how long to wait");
  OnRun(command, [flags, &context] {
    const Client client(flags->server.ToClientOptions(context.err));
    const absl::Status status = client.CheckHealth(flags->service);
    if (status.ok()) {
      context.out << "serving\n";
      return;
    }
    PrintError(context.err, status, ErrorFormat::kText);
    context.exit_code = kExitFailed;
  });
}

}  // namespace heapsync
