#include "client/cli/command.h"

#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "heapsync/client/status_details.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

// "30s", "1.5m", "500ms", or plain seconds.
bool ParseTimeout(const std::string& text, absl::Duration& duration) {
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return false;
  }
  return duration > absl::ZeroDuration() && duration <= absl::Hours(24 * 365);
}

// The file that a flag names; nothing where it names none.
std::string ReadText(const char* flag, const std::string& path) {
  if (path.empty()) return "";
  constexpr std::streamsize kMaxLength = 1 << 20;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxLength, '\0');
  file.read(text.data(), kMaxLength);
  if (!file.eof() || file.bad()) {
    throw CLI::ValidationError(flag, "cannot read " + path);
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty()) throw CLI::ValidationError(flag, path + " is empty");
  return text;
}

}  // namespace

std::chrono::milliseconds ServerFlags::Timeout() const {
  absl::Duration duration;
  ParseTimeout(timeout, duration);
  return absl::ToChronoMilliseconds(duration);
}

ClientOptions ServerFlags::ToClientOptions() const {
  ClientOptions options;
  options.server = server;
  options.timeout = Timeout();
  if (tls || !tls_ca.empty() || !tls_cert.empty() || !tls_key.empty() ||
      !tls_server_name.empty()) {
    if (tls_cert.empty() != tls_key.empty()) {
      throw CLI::ValidationError(tls_cert.empty() ? "--tls_key" : "--tls_cert",
                                 "needs the other of --tls_cert and --tls_key");
    }
    options.tls = TlsOptions{.ca = ReadText("--tls_ca", tls_ca),
                             .certificate = ReadText("--tls_cert", tls_cert),
                             .key = ReadText("--tls_key", tls_key),
                             .server_name = tls_server_name};
  }
  options.allow_plaintext_token = plaintext_token;
  options.token = std::string(
      absl::StripAsciiWhitespace(ReadText("--token_file", token_file)));
  if (!options.token.empty() && !MayCarryToken(options)) {
    throw CLI::ValidationError(
        "--token_file",
        "the token would cross the network in plaintext: use TLS (--tls_ca, or "
        "--tls for the system's CAs), or --plaintext_token where something "
        "else encrypts");
  }
  return options;
}

void AddServerFlags(CLI::App& command, ServerFlags& flags,
                    absl::string_view timeout,
                    absl::string_view timeout_meaning) {
  flags.timeout = std::string(timeout);
  command.add_option("--server", flags.server, "host:port of the server")
      ->envname("HEAPSYNC_SERVER")
      ->capture_default_str();
  command
      .add_flag("--tls", flags.tls,
                "use TLS, trusting the system's CAs (implied by the others)")
      ->envname("HEAPSYNC_TLS");
  command
      .add_option("--tls_ca", flags.tls_ca,
                  "PEM file with the CAs that may vouch for the server")
      ->envname("HEAPSYNC_TLS_CA");
  // Not called as the server's own are, which may stand in the same
  // environment.
  command
      .add_option("--tls_cert", flags.tls_cert,
                  "PEM file with this client's certificate (mutual TLS)")
      ->envname("HEAPSYNC_CLIENT_CERT");
  command
      .add_option("--tls_key", flags.tls_key, "PEM file with its private key")
      ->envname("HEAPSYNC_CLIENT_KEY");
  command
      .add_option("--tls_server_name", flags.tls_server_name,
                  "the name in the server's certificate, if it is not the one "
                  "in --server")
      ->envname("HEAPSYNC_TLS_SERVER_NAME");
  command
      .add_option("--token_file", flags.token_file,
                  "file with the token of this caller")
      ->envname("HEAPSYNC_TOKEN_FILE");
  command
      .add_flag("--plaintext_token", flags.plaintext_token,
                "let the token go to another machine without TLS")
      ->envname("HEAPSYNC_PLAINTEXT_TOKEN");
  command
      .add_option("--timeout", flags.timeout,
                  absl::StrCat(timeout_meaning, "; such as 30s, 5m, 500ms"))
      ->check([](const std::string& text) {
        absl::Duration duration;
        return ParseTimeout(text, duration)
                   ? std::string()
                   : "\"" + text + "\" is no duration; write 30s, 5m or 500ms";
      })
      ->capture_default_str();
}

void AddAckFlag(CLI::App& command, v1::AckLevel& level) {
  static const std::map<std::string, v1::AckLevel> kLevels = {
      {"durable", v1::ACK_LEVEL_DURABLE},
      {"delivered", v1::ACK_LEVEL_DELIVERED}};
  command
      .add_option_function<std::string>(
          "--ack",
          [&level](const std::string& name) { level = kLevels.at(name); },
          "wait until the server has it on disk (durable) or until Heap took "
          "it (delivered)")
      ->check(CLI::IsMember(kLevels))
      ->default_str("durable");
}

std::pair<std::string, std::string> SplitPair(absl::string_view flag,
                                              absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    throw CLI::ValidationError(std::string(flag), "expected NAME=VALUE");
  }
  return {std::string(text.substr(0, equals)),
          std::string(text.substr(equals + 1))};
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = true;
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : "{}\n";
}

void PrintError(std::ostream& err, const absl::Status& status,
                ErrorFormat format) {
  const ErrorDetails details = DetailsOf(status);
  const std::string code = absl::StatusCodeToString(status.code());
  const auto retry_seconds = [&] {
    return std::chrono::duration<double>(*details.retry_delay).count();
  };
  if (format == ErrorFormat::kJson) {
    using nlohmann::ordered_json;
    ordered_json violations = ordered_json::array();
    for (const Violation& violation : details.violations) {
      violations.push_back({{"field", violation.field},
                            {"reason", violation.reason},
                            {"description", violation.description}});
    }
    ordered_json error = {{"code", code},
                          {"message", std::string(status.message())},
                          {"reason", details.reason},
                          {"violations", std::move(violations)}};
    if (details.retry_delay) error["retry_after_seconds"] = retry_seconds();
    err << ordered_json{{"error", std::move(error)}}.dump(
               -1, ' ', false, ordered_json::error_handler_t::replace)
        << "\n";
    return;
  }
  err << "heapsync: " << status.message() << " (" << code;
  if (!details.reason.empty()) err << ", " << details.reason;
  err << ")\n";
  for (const Violation& violation : details.violations) {
    err << "  " << violation.field << ": ";
    if (!violation.reason.empty()) err << violation.reason << ": ";
    err << violation.description << "\n";
  }
  if (!details.resource.empty()) err << "  named: " << details.resource << "\n";
  if (details.retry_delay) {
    err << "  worth repeating after " << retry_seconds() << " s\n";
  }
}

}  // namespace heapsync
