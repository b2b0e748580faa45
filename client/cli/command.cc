#include "client/cli/command.h"

#include <google/protobuf/util/json_util.h>

#include <map>

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
