#ifndef HEAPSYNC_CLIENT_CLI_COMMAND_H_
#define HEAPSYNC_CLIENT_CLI_COMMAND_H_

#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/model/object_type.h"
#include "heapsync/client/client_options.h"

namespace CLI {
class App;
}  // namespace CLI

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace heapsync {

namespace v1 {
enum AckLevel : int;
}  // namespace v1

// The streams that every command writes to, and the exit code that it sets.
struct CommandContext {
  std::ostream& out;
  std::ostream& err;
  int exit_code = 0;
};

// Flags of every command that calls the server.
struct ServerFlags {
  std::string server = ClientOptions().server;
  std::string timeout;
  bool tls = false;
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_server_name;
  std::string token_file;
  bool plaintext_token = false;
  bool proxy = false;

  std::chrono::milliseconds Timeout() const;
  // Warns on `err` of a token file that every user of the machine can read.
  // Ends the command (ThrowUsageError) if a file cannot be read, or if the
  // token would cross the network in plaintext.
  ClientOptions ToClientOptions(std::ostream& err) const;
};

// Adds --server, --timeout, and the flags of TLS and the token. `timeout` is
// the default, such as "30s".
// `flags` must outlive the command.
void AddServerFlags(CLI::App& command, ServerFlags& flags,
                    absl::string_view timeout,
                    absl::string_view timeout_meaning);

// Adds --ack, which takes "durable" and "delivered".
void AddAckFlag(CLI::App& command, v1::AckLevel& level);

// Adds --type, which takes the short names of the types; `take` is called at
// most once.
void AddTypeOption(CLI::App& command, std::function<void(ObjectType)> take,
                   const std::string& help, bool required);

// Splits "key=value" at the first "="; without one, ends the command
// (ThrowUsageError).
std::pair<std::string, std::string> SplitPair(absl::string_view flag,
                                              absl::string_view text);

// The message as JSON under the names of the proto.
std::string ToJson(const google::protobuf::Message& message);

// Prints the error as text, with every violation on a line of its own, or as
// one line of JSON: {"error": {"code", "message", "reason", "violations": […],
// "retry_after_seconds"}}.
enum class ErrorFormat { kText, kJson };
void PrintError(std::ostream& err, const absl::Status& status,
                ErrorFormat format);

// Each adds one subcommand, or a few of a kind, to the program. `context` must
// outlive it.
void AddTokenCommand(CLI::App& program, CommandContext& context);
void AddItemCommands(CLI::App& program, CommandContext& context);
void AddImportCommand(CLI::App& program, CommandContext& context);
void AddHealthCommand(CLI::App& program, CommandContext& context);
void AddAdminCommands(CLI::App& program, CommandContext& context);
void AddDeadLetterCommands(CLI::App& program, CommandContext& context);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_COMMAND_H_
