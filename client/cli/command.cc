#include "client/cli/command.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/certificate_times.h"
#include "base/environment_names.h"
#include "client/cli/command_options.h"
#include "client/cli/utf8.h"
#include "heapsync/client/client.h"
#include "heapsync/client/status_details.h"
#include "heapsync/v1/heap_sync_service.pb.h"
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

// The contents of the file that a flag names; empty if it names none.
std::string ReadText(const char* flag, const std::string& path) {
  if (path.empty()) return "";
  constexpr std::streamsize kMaxLength = 1 << 20;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxLength, '\0');
  file.read(text.data(), kMaxLength);
  if (!file.eof() || file.bad()) {
    ThrowUsageError(flag, "cannot read " + path);
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty()) ThrowUsageError(flag, path + " is empty");
  return text;
}

// What is wrong with a server's address, as a usage error; empty if nothing is.
// gRPC's own schemes ("dns:", "unix:") are left to it.
std::string FaultOfAddress(const std::string& text) {
  if (absl::StartsWith(text, "http://") || absl::StartsWith(text, "https://")) {
    return "expected host:port without a scheme; --tls chooses TLS";
  }
  // Otherwise the last part of the address would be taken for its port.
  const bool is_ipv6 =
      text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos &&
      std::count(text.begin(), text.end(), ':') > 1;
  if (is_ipv6) {
    return "an IPv6 address stands in brackets, as in [::1]:50051";
  }
  for (const char* scheme : {"dns:", "ipv4:", "ipv6:", "unix:", "xds:"}) {
    if (absl::StartsWith(text, scheme)) return "";
  }
  // Names are asked for as they stand, for minutes.
  if (absl::StrContains(text, "://")) {
    return "expected host:port without a scheme";
  }
  if (text.find_first_of(" \t\r\n\"'") != std::string::npos) {
    return "expected host:port; there is a blank or a quote in the address";
  }
  // gRPC takes other numbers for other ports: 99999 for 34463.
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || colon == 0 ||
      text.find_first_not_of("0123456789", colon + 1) != std::string::npos ||
      !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 ||
      port > 65'535) {
    return "expected host:port with a port from 1 to 65535, as in "
           "localhost:50051";
  }
  return "";
}

// gRPC says of either side's certificate that has expired only that the
// handshake failed.
void WarnOfExpiry(absl::string_view flag, const std::string& pem,
                  std::ostream& err) {
  const std::vector<CertificateTimes> all = ReadCertificateTimes(pem);
  const auto now =
      std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  std::string first_fault;
  for (const CertificateTimes& each : all) {
    const std::string fault = ValidityFault(each, now);
    // Of CA certificates an old one may stand beside the new.
    if (fault.empty() && flag == "--tls_ca") return;
    if (first_fault.empty()) first_fault = fault;
  }
  if (first_fault.empty()) return;
  err << "heapsync: warning: the certificate of " << flag << " " << first_fault
      << "\n";
}

// Ends the command (ThrowUsageError) if variables are misspelt: what they were
// to set, such as TLS, is not set.
void CheckVariables() {
  const StrayVariables stray =
      FindStrayVariables(ProcessEnvironment(), CommandVariables(), {});
  if (stray.misspelt.empty()) return;
  ThrowUsageError("environment",
                  absl::StrJoin(stray.misspelt, "; ",
                                [](std::string* out, const auto& variable) {
                                  absl::StrAppend(out, FaultOf(variable));
                                }));
}

}  // namespace

std::chrono::milliseconds ServerFlags::Timeout() const {
  absl::Duration duration;
  ParseTimeout(timeout, duration);
  return absl::ToChronoMilliseconds(duration);
}

ClientOptions ServerFlags::ToClientOptions(std::ostream& err) const {
  CheckVariables();
  ClientOptions options;
  options.server = server;
  options.timeout = Timeout();
  if (tls || !tls_ca.empty() || !tls_cert.empty() || !tls_key.empty() ||
      !tls_server_name.empty()) {
    if (tls_cert.empty() != tls_key.empty()) {
      ThrowUsageError(tls_cert.empty() ? "--tls_key" : "--tls_cert",
                      "is missing: --tls_cert and --tls_key go together");
    }
    options.tls = TlsOptions{.ca = ReadText("--tls_ca", tls_ca),
                             .certificate = ReadText("--tls_cert", tls_cert),
                             .key = ReadText("--tls_key", tls_key),
                             .server_name = tls_server_name};
    WarnOfExpiry("--tls_ca", options.tls->ca, err);
    WarnOfExpiry("--tls_cert", options.tls->certificate, err);
  }
  options.allow_plaintext_token = plaintext_token;
  options.proxy = proxy ? ProxyUse::kEnvironment : ProxyUse::kNone;
  struct stat info;
  if (!token_file.empty() && ::stat(token_file.c_str(), &info) == 0 &&
      S_ISREG(info.st_mode) && (info.st_mode & S_IROTH) != 0) {
    err << "heapsync: warning: every user of this machine can read the token "
           "in "
        << token_file << "; make it private with chmod 600\n";
  }
  options.token = std::string(
      absl::StripAsciiWhitespace(ReadText("--token_file", token_file)));
  if (!options.token.empty() && !MayCarryToken(options)) {
    ThrowUsageError(
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
  AddText(command, "--server", flags.server, "host:port of the server",
          {.environment = "HEAPSYNC_SERVER", .check = FaultOfAddress});
  AddFlag(command, "--tls", flags.tls,
          "use TLS, trusting the system's CAs (implied by the others)",
          {.environment = "HEAPSYNC_TLS"});
  AddText(command, "--tls_ca", flags.tls_ca,
          "PEM file with the CAs that may vouch for the server",
          {.environment = "HEAPSYNC_TLS_CA"});
  // Not named like the server's own variables, which may be set in the same
  // environment.
  AddText(command, "--tls_cert", flags.tls_cert,
          "PEM file with this client's certificate (mutual TLS)",
          {.environment = "HEAPSYNC_CLIENT_CERT"});
  AddText(command, "--tls_key", flags.tls_key, "PEM file with its private key",
          {.environment = "HEAPSYNC_CLIENT_KEY"});
  AddText(command, "--tls_server_name", flags.tls_server_name,
          "the name in the server's certificate, if it is not the one in "
          "--server",
          {.environment = "HEAPSYNC_TLS_SERVER_NAME"});
  AddText(command, "--token_file", flags.token_file,
          "file with the token of this caller",
          {.environment = "HEAPSYNC_TOKEN_FILE"});
  AddFlag(command, "--plaintext_token", flags.plaintext_token,
          "let the token go to another machine without TLS",
          {.environment = "HEAPSYNC_PLAINTEXT_TOKEN"});
  AddFlag(command, "--proxy", flags.proxy,
          "reach the server through the proxy that the variables https_proxy "
          "and http_proxy name; they are ignored otherwise",
          {.environment = "HEAPSYNC_PROXY"});
  AddText(command, "--timeout", flags.timeout,
          absl::StrCat(timeout_meaning, "; such as 30s, 5m, 500ms"),
          {.check = [](const std::string& text) {
            absl::Duration duration;
            return ParseTimeout(text, duration)
                       ? std::string()
                       : "\"" + text +
                             "\" is not a duration; write 30s, 5m or 500ms";
          }});
}

void AddAckFlag(CLI::App& command, v1::AckLevel& level) {
  AddText(command, "--ack",
          [&level](const std::string& name) {
            level = name == "delivered" ? v1::ACK_LEVEL_DELIVERED
                                        : v1::ACK_LEVEL_DURABLE;
          },
          "durable",
          "wait until the item is on the server's disk (durable) or until Heap "
          "has accepted it (delivered)",
          {.choices = {"durable", "delivered"}});
}

void AddTypeOption(CLI::App& command, std::function<void(ObjectType)> take,
                   const std::string& help, bool required) {
  std::vector<std::string> names;
  for (const TypePolicy& policy : kTypePolicies) {
    names.emplace_back(policy.short_name);
  }
  AddText(command, "--type",
          [take = std::move(take)](const std::string& name) {
            for (const TypePolicy& policy : kTypePolicies) {
              if (policy.short_name == name) take(policy.type);
            }
          },
          "", help, {.required = required, .choices = names});
}

std::pair<std::string, std::string> SplitPair(absl::string_view flag,
                                              absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    ThrowUsageError(flag, "expected NAME=VALUE");
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
    err << PrintableJson(ordered_json{{"error", std::move(error)}}.dump(
               -1, ' ', false, ordered_json::error_handler_t::replace))
        << "\n";
    return;
  }
  err << "heapsync: " << Printable(status.message()) << " (" << code;
  if (!details.reason.empty()) err << ", " << Printable(details.reason);
  err << ")\n";
  for (const Violation& violation : details.violations) {
    err << "  " << Printable(violation.field) << ": ";
    if (!violation.reason.empty()) err << Printable(violation.reason) << ": ";
    err << Printable(violation.description) << "\n";
  }
  if (!details.resource.empty())
    err << "  resource: " << Printable(details.resource) << "\n";
  if (details.retry_delay) {
    err << "  retry after " << retry_seconds() << " s\n";
  }
}

}  // namespace heapsync
