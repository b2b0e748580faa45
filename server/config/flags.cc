#include "server/config/flags.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/base/check.h"

// All are texts, so that a value that does not fit is listed beside the other
// faults instead of ending the process by itself.
using Text = std::optional<std::string>;

ABSL_FLAG(
    Text, app_id, std::nullopt,
    "Heap App ID of the one destination; better given in HEAPSYNC_APP_ID, "
    "since every user of the machine can see command lines. Several "
    "destinations: --config");
ABSL_FLAG(
    Text, region, std::nullopt,
    "Heap data center of --app_id: us or eu (default us). Heap loses what "
    "is sent to the wrong one without an error");
ABSL_FLAG(Text, config, std::nullopt, "JSON file with the destinations");
ABSL_FLAG(Text, listen, std::nullopt,
          "Address of gRPC (default 127.0.0.1:50051)");
ABSL_FLAG(Text, http_listen, std::nullopt,
          "Address of metrics and status page (default 127.0.0.1:9464)");
ABSL_FLAG(Text, data_dir, std::nullopt,
          "Folder of the spool (default /var/lib/heapsync)");
ABSL_FLAG(Text, heap_us_url, std::nullopt,
          "Heap in the US (default https://heapanalytics.com)");
ABSL_FLAG(Text, heap_eu_url, std::nullopt,
          "Heap in the EU (default https://c.eu.heap-api.com)");
ABSL_FLAG(bool, allow_plaintext_heap, false,
          "Let the two URLs be plain http to other machines. It shows App IDs "
          "and identities to the network");
ABSL_FLAG(Text, heap_proxy, std::nullopt,
          "http://host:port of the proxy through which every request to Heap "
          "goes, by CONNECT (default: none). http_proxy, https_proxy and "
          "all_proxy of the environment are ignored");
ABSL_FLAG(Text, heap_proxy_credentials_file, std::nullopt,
          "File with one line, user:password, for the proxy");
ABSL_FLAG(Text, heap_ca, std::nullopt,
          "PEM file with root certificates that are trusted for Heap besides "
          "the system's, such as that of a proxy that inspects TLS");
ABSL_FLAG(Text, max_batch_items, std::nullopt,
          "Items in one request to Heap, 1 to 1000, for every destination "
          "(default 1000)");
ABSL_FLAG(Text, max_batch_bytes, std::nullopt,
          "Bytes of one request to Heap, for every destination (default "
          "1048576). More: fewer requests, more memory, more to repeat");
ABSL_FLAG(
    Text, max_batch_wait, std::nullopt,
    "How long the first item of a batch waits for more, for every "
    "destination (default 500ms). Longer: fuller batches, later delivery");
ABSL_FLAG(Text, max_age, std::nullopt,
          "Age at which an undelivered item is dead-lettered (default 168h)");
ABSL_FLAG(Text, max_retry_after, std::nullopt,
          "How long a Retry-After of Heap may delay the next request (default "
          "1h; 0s: it is ignored). It never shortens a delay");
ABSL_FLAG(
    Text, drain_timeout, std::nullopt,
    "How long a stop waits for requests that are in flight (default 10s). "
    "What is not finished is sent again after the next start");
ABSL_FLAG(Text, max_message_bytes, std::nullopt,
          "Longest gRPC message in bytes (default 4194304)");
ABSL_FLAG(
    Text, max_queued_mib, std::nullopt,
    "MiB that may wait in the spool for each destination (default 10240); "
    "beyond it new items for it are refused. More: longer outages are ridden "
    "out, but one destination may fill the disk for all");
ABSL_FLAG(Text, max_metadata_bytes, std::nullopt,
          "Longest metadata of a call in bytes (default 16384)");
ABSL_FLAG(Text, max_memory_bytes, std::nullopt,
          "Memory that gRPC may use for connections and for messages on their "
          "way (default 536870912). Smaller: slower under many large messages");
ABSL_FLAG(Text, max_connections, std::nullopt,
          "gRPC connections at once (default 4000); more wait until one ends");
ABSL_FLAG(Text, max_streams_per_connection, std::nullopt,
          "Calls at once on one connection (default 1000); more wait at the "
          "client");
ABSL_FLAG(Text, max_calls, std::nullopt,
          "Unary calls at once (default 20000); more are refused");
ABSL_FLAG(Text, max_streams, std::nullopt,
          "Bulk streams at once (default 1000); more are refused");
ABSL_FLAG(Text, max_connection_age, std::nullopt,
          "After this a connection is asked to go, so that load balancers can "
          "spread clients (default 1h; 0s: never)");
ABSL_FLAG(Text, max_connection_age_grace, std::nullopt,
          "How long its calls may go on then (default 1m)");
ABSL_FLAG(Text, keepalive_time, std::nullopt,
          "A connection that is silent for so long is asked whether its client "
          "is there (default 1m)");
ABSL_FLAG(Text, tls_cert, std::nullopt,
          "PEM file with the certificate of the gRPC port and those between it "
          "and its CA. Without: plaintext");
ABSL_FLAG(Text, tls_key, std::nullopt, "PEM file with its private key");
ABSL_FLAG(Text, tls_client_ca, std::nullopt,
          "PEM file with the CAs of client certificates (mutual TLS)");
ABSL_FLAG(Text, tls_client_certificates, std::nullopt,
          "With --tls_client_ca, whether clients need a certificate: required "
          "(default) or optional");
ABSL_FLAG(Text, auth, std::nullopt,
          "JSON file with the callers, what they are known by and what they "
          "may do. Without: everybody may do everything");
ABSL_FLAG(bool, allow_plaintext, false,
          "Let --listen be reached by other machines without TLS. It shows "
          "identities and tokens to the network");
ABSL_FLAG(bool, allow_core_dumps, false,
          "Let the process leave core dumps, which hold identities, App IDs "
          "and keys");
ABSL_FLAG(Text, reload_interval, std::nullopt,
          "How often the files of --config, --auth and TLS are looked at for "
          "changes (default 2s; 0s: only on SIGHUP)");
ABSL_FLAG(Text, min_free_disk_bytes, std::nullopt,
          "New items are refused while the disk has less space than this, so "
          "that what waits can still be delivered (default 268435456)");
ABSL_FLAG(Text, log_level, std::nullopt,
          "debug, info, warning or error (default info)");
ABSL_FLAG(Text, metrics_destinations, std::nullopt,
          "Destinations with metrics of their own, the first of the file; the "
          "others are summed up as _other (default 100). Each costs a scrape "
          "some 200 lines");
ABSL_FLAG(Text, send_traceparent, std::nullopt,
          "true or false: whether a request to Heap carries the trace context "
          "of the first of its items that came with one (default true)");

namespace heapsync {
namespace {

constexpr absl::string_view kProgram = "heapsync-server";
// The flags of type bool.
struct Switch {
  const char* name;
  absl::Flag<bool>& flag;
};
const std::array<Switch, 3> kSwitches = {
    {{"allow_plaintext_heap", FLAGS_allow_plaintext_heap},
     {"allow_plaintext", FLAGS_allow_plaintext},
     {"allow_core_dumps", FLAGS_allow_core_dumps}}};

// By C streams: those of C++ throw on a folder and do not tell why a file
// cannot be opened.
absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string text;
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "rb"));
  if (file != nullptr) {
    std::array<char, 65'536> block;
    while (const size_t count =
               std::fread(block.data(), 1, block.size(), file.get())) {
      text.append(block.data(), count);
    }
    if (std::ferror(file.get()) == 0) return text;
  }
  return absl::NotFoundError(
      absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
}

bool SetUsage() {
  absl::SetProgramUsageMessage(
      "Delivers events, user properties and account properties to Heap.\n"
      "Every flag can be given as an environment variable, too: --data_dir as "
      "HEAPSYNC_DATA_DIR.");
  absl::FlagsUsageConfig usage;
  // Help shows the flags whose file, as named by the last of these three,
  // passes the first two.
  const auto ours = [](absl::string_view file) { return file == kProgram; };
  usage.contains_help_flags = ours;
  usage.contains_helpshort_flags = ours;
  usage.normalize_filename = [](absl::string_view file) {
    return std::string(absl::EndsWith(file, "server/config/flags.cc") ? kProgram
                                                                      : file);
  };
  usage.version_string = [] {
    return "heapsync-server " HEAPSYNC_VERSION "\n";
  };
  absl::SetFlagsUsageConfig(usage);
  return true;
}

bool ReadSwitch(const char* name, const Surroundings& surroundings) {
  bool on = false;
  const std::optional<std::string> value =
      surroundings.variable(EnvironmentVariable(name));
  return value.has_value() && absl::SimpleAtob(*value, &on) && on;
}

FlagValues GivenFlags() {
  FlagValues given;
  for (const char* name : kSettings) {
    const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    HEAPSYNC_CHECK(flag != nullptr) << "no such flag";
    if (!flag->IsOfType<Text>()) continue;
    const auto value = flag->TryGet<Text>();
    if (value.has_value() && value->has_value()) given.emplace(name, **value);
  }
  return given;
}

}  // namespace

Surroundings ProcessSurroundings() {
  return {
      .variable = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      },
      .file = ReadTextFile};
}

absl::StatusOr<ServerConfig> LoadServerConfig(
    int argc, char** argv, const Surroundings& surroundings) {
  // A second usage message would end the process.
  [[maybe_unused]] static const bool usage_is_set = SetUsage();
  // A flag of type bool can stand without a value, but does not tell whether it
  // stood there at all. So it starts as the environment has it, and counts as
  // given when it ends up different.
  for (const Switch& each : kSwitches) {
    absl::SetFlag(&each.flag, ReadSwitch(each.name, surroundings));
  }
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);

  FlagValues flags = GivenFlags();
  for (const Switch& each : kSwitches) {
    const bool on = absl::GetFlag(each.flag);
    if (on != ReadSwitch(each.name, surroundings)) {
      flags.emplace(each.name, on ? "true" : "false");
    }
  }
  absl::StatusOr<ServerConfig> config = BuildServerConfig(flags, surroundings);
  if (config.ok()) config->flags = flags;
  if (arguments.size() <= 1) return config;
  // Not quoted: it may be an App ID.
  constexpr char kFault[] =
      "command line: every setting is a --flag; arguments without one are not "
      "taken";
  return absl::InvalidArgumentError(
      config.ok() ? kFault
                  : absl::StrCat(kFault, "\n", config.status().message()));
}

}  // namespace heapsync
