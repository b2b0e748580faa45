#include "server/config/settings.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/duration_text.h"
#include "heap_adapter/config/setting_checks.h"
#include "heap_adapter/spool/postgres/spool_uri.h"
#include "server/config/listen_address.h"

namespace heapsync {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr NumberRange kMessageBytesRange{1 << 10, 512 << 20};
constexpr NumberRange kMetricsDestinationsRange{0, 10'000};
constexpr NumberRange kMetadataBytesRange{1 << 10, 1 << 20};
constexpr NumberRange kMemoryBytesRange{32 << 20, 4'000'000'000};
constexpr NumberRange kConnectionsRange{1, 1'000'000};
constexpr NumberRange kCallsRange{1, 1'000'000};
constexpr NumberRange kPercentRange{1, 100};
constexpr NumberRange kFreeDiskRange{0, 4'294'967'295};
constexpr DurationRange kMaxAgeRange{seconds(1), hours(8760)};
constexpr DurationRange kRetryAfterRange{milliseconds(0), hours(8760)};
constexpr DurationRange kDrainTimeoutRange{milliseconds(0), hours(1)};
constexpr DurationRange kConnectionAgeRange{milliseconds(0), hours(8760)};
constexpr DurationRange kUnprovenTimeRange{seconds(1), hours(1)};
constexpr DurationRange kSilentStreamRange{seconds(1), hours(8760)};
constexpr DurationRange kKeepaliveRange{seconds(1), hours(24)};
constexpr DurationRange kSpoolLeaseRange{seconds(2), minutes(5)};
constexpr NumberRange kSpoolShardsRange{1, 256};
constexpr DurationRange kSpoolPatienceRange{seconds(1), hours(24)};
constexpr DurationRange kReloadRange{milliseconds(0), hours(24)};

constexpr char kDestinations[] = "Destinations";
constexpr char kDelivery[] = "Delivery";
constexpr char kStorage[] = "Storage";
constexpr char kPorts[] = "Ports and their limits";
constexpr char kAccess[] = "TLS and callers";
constexpr char kObservation[] = "Reload, logs, metrics";

absl::Status Must(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("must be ", what));
}

absl::Status ParseNumber(const std::string& value, NumberRange range,
                         uint32_t& number) {
  uint32_t parsed = 0;
  if (!absl::SimpleAtoi(value, &parsed) || parsed < range.min ||
      parsed > range.max) {
    return Must(absl::StrCat("a whole number from ", range.Text()));
  }
  number = parsed;
  return absl::OkStatus();
}

absl::Status ParseDuration(const std::string& value, const DurationRange& range,
                           milliseconds& duration) {
  const auto parsed = ParseDurationText(value);
  if (!parsed.has_value() || !range.Contains(*parsed)) {
    return Must(absl::StrCat("a duration such as 500ms, 2s, 1m or 24h, from ",
                             range.Text()));
  }
  duration = *parsed;
  return absl::OkStatus();
}

// Settings of one member of ServerConfig, which the path of pointers to members
// leads to. `setting` brings everything but `values`, `text` and `set`.

template <auto... kPath>
Setting Number(NumberRange range, Setting setting) {
  setting.values = range.Text();
  setting.text = [](const ServerConfig& config) {
    return absl::StrCat((config.*....*kPath));
  };
  setting.set = [range](ServerConfig& config, const std::string& value) {
    return ParseNumber(value, range, (config.*....*kPath));
  };
  return setting;
}

template <auto... kPath>
Setting Duration(const DurationRange& range, Setting setting) {
  setting.values = range.Text();
  setting.text = [](const ServerConfig& config) {
    return FormatDurationText((config.*....*kPath));
  };
  setting.set = [range](ServerConfig& config, const std::string& value) {
    return ParseDuration(value, range, (config.*....*kPath));
  };
  return setting;
}

template <auto... kPath>
Setting Switch(Setting setting) {
  setting.values = "true or false";
  setting.is_switch = true;
  setting.text = [](const ServerConfig& config) {
    return (config.*....*kPath) ? "true" : "false";
  };
  setting.set = [](ServerConfig& config, const std::string& value) {
    return absl::SimpleAtob(value, &(config.*....*kPath))
               ? absl::OkStatus()
               : Must("true or false");
  };
  return setting;
}

template <auto kMember>
Setting Address(Setting setting) {
  setting.values = "host:port";
  setting.text = [](const ServerConfig& config) { return config.*kMember; };
  setting.set = [](ServerConfig& config, const std::string& value) {
    config.*kMember = value;
    return IsListenAddress(value) ? absl::OkStatus()
                                  : Must(
                                        "host:port, such as 127.0.0.1:50051 "
                                        "or [::]:50051");
  };
  return setting;
}

template <auto kMember>
Setting HeapAddress(Setting setting) {
  setting.values = "https URL, no path";
  setting.text = [](const ServerConfig& config) { return config.*kMember; };
  setting.set = [](ServerConfig& config, const std::string& value) {
    absl::StatusOr<std::string> url = CheckHeapUrl(
        value, config.allow_plaintext_heap ? PlaintextPolicy::kAnywhere
                                           : PlaintextPolicy::kLoopbackOnly);
    if (url.ok()) config.*kMember = *std::move(url);
    return url.status();
  };
  return setting;
}

Setting HeapProxy(Setting setting) {
  setting.values = "http://host:port";
  setting.text = [](const ServerConfig& config) {
    return config.heap_way.proxy;
  };
  setting.set = [](ServerConfig& config, const std::string& value) {
    absl::StatusOr<std::string> url = CheckProxyUrl(value);
    if (url.ok()) config.heap_way.proxy = *std::move(url);
    return url.status();
  };
  return setting;
}

// Replaces the value of every destination, whether the file has one or not.

template <auto... kPath>
Setting NumberOfDestinations(NumberRange range, Setting setting) {
  setting.values = range.Text();
  setting.on_reload = OnReload::kApplied;
  setting.text = [](const ServerConfig&) {
    const Destination defaults{.name = "", .app_id = *AppId::Parse("0")};
    return absl::StrCat((defaults.*....*kPath));
  };
  setting.set = [range](ServerConfig& config, const std::string& value) {
    uint32_t number = 0;
    const absl::Status parsed = ParseNumber(value, range, number);
    if (!parsed.ok()) return parsed;
    for (Destination& each : config.destinations.destinations) {
      (each.*....*kPath) = number;
    }
    return absl::OkStatus();
  };
  return setting;
}

Setting BatchWait(Setting setting) {
  setting.values = kBatchWaitRange.Text();
  setting.on_reload = OnReload::kApplied;
  setting.text = [](const ServerConfig&) {
    return FormatDurationText(BatchRules{}.max_wait);
  };
  setting.set = [](ServerConfig& config, const std::string& value) {
    milliseconds wait{};
    const absl::Status parsed = ParseDuration(value, kBatchWaitRange, wait);
    if (!parsed.ok()) return parsed;
    for (Destination& each : config.destinations.destinations) {
      each.batch.max_wait = wait;
    }
    return absl::OkStatus();
  };
  return setting;
}

constexpr std::array<absl::string_view, 4> kLogLevels = {"debug", "info",
                                                         "warning", "error"};

Setting Level(Setting setting) {
  setting.values = "debug, info, warning or error";
  setting.text = [](const ServerConfig& config) {
    return std::string(kLogLevels[static_cast<size_t>(config.log_level)]);
  };
  setting.set = [](ServerConfig& config, const std::string& value) {
    const auto found = std::find(kLogLevels.begin(), kLogLevels.end(), value);
    if (found == kLogLevels.end()) return Must("debug, info, warning or error");
    config.log_level = static_cast<LogLevel>(found - kLogLevels.begin());
    return absl::OkStatus();
  };
  return setting;
}

Setting DataDirectory(Setting setting) {
  setting.values = "folder";
  setting.text = [](const ServerConfig& config) { return config.data_dir; };
  setting.set = [](ServerConfig& config, const std::string& value) {
    if (value.empty()) return absl::InvalidArgumentError("must name a folder");
    config.data_dir = value;
    return absl::OkStatus();
  };
  return setting;
}

Setting SharedSpool(Setting setting) {
  setting.values = "postgresql:// URIs, no password";
  setting.text = [](const ServerConfig& config) {
    return absl::StrJoin(config.spool, " ");
  };
  setting.set = [](ServerConfig& config, const std::string& value) {
    // A URI has no spaces, and commas between its hosts.
    config.spool = absl::StrSplit(value, ' ', absl::SkipWhitespace());
    if (config.spool.empty()) return CheckSpoolUri("");
    for (const std::string& uri : config.spool) {
      if (absl::Status s = CheckSpoolUri(uri); !s.ok()) return s;
    }
    const std::set<std::string> different(config.spool.begin(),
                                          config.spool.end());
    return different.size() == config.spool.size()
               ? absl::OkStatus()
               : Must("different databases");
  };
  return setting;
}

// A setting that BuildServerConfig() reads.
Setting Other(std::string values, Setting setting) {
  setting.values = std::move(values);
  if (setting.text == nullptr) {
    setting.text = [](const ServerConfig&) { return ""; };
  }
  return setting;
}

std::vector<Setting> MakeSettings() {
  using Port = PortLimits;
  constexpr auto kPort = &ServerConfig::port;
  const auto tls = [](const ServerConfig& config) {
    return config.tls.has_value() ? "given" : "";
  };
  return {
      Other("1 to 20 digits",
            {.name = "app_id",
             .group = kDestinations,
             .meaning = "Heap App ID of the one destination, which is called "
                        "default. Better given in HEAPSYNC_APP_ID, since every "
                        "user of the machine can see command lines. Several "
                        "destinations: --config.",
             .on_reload = OnReload::kApplied}),
      Other("us or eu",
            {.name = "region",
             .group = kDestinations,
             .meaning = "Heap's data center of --app_id. Heap loses what is "
                        "sent to the wrong one without an error.",
             .on_reload = OnReload::kApplied,
             .text =
                 [](const ServerConfig&) {
                   return std::string(Name(Region::kUs));
                 }}),
      Other("file", {.name = "config",
                     .group = kDestinations,
                     .meaning = "JSON file with the destinations.",
                     .on_reload = OnReload::kApplied}),
      NumberOfDestinations<&Destination::batch, &BatchRules::max_items>(
          kBatchItemsRange,
          {.name = "max_batch_items",
           .group = kDestinations,
           .meaning = "Items in one request to Heap, for every destination."}),
      NumberOfDestinations<&Destination::batch, &BatchRules::max_bytes>(
          kBatchBytesRange,
          {.name = "max_batch_bytes",
           .group = kDestinations,
           .meaning = "Bytes of one request to Heap, for every destination. "
                      "More: fewer requests, more memory, more to repeat."}),
      BatchWait({.name = "max_batch_wait",
                 .group = kDestinations,
                 .meaning = "How long the first item of a batch waits for "
                            "more, for every destination. Longer: fuller "
                            "batches, later delivery."}),
      NumberOfDestinations<&Destination::max_queued_mib>(
          kQueuedMibRange,
          {.name = "max_queued_mib",
           .group = kDestinations,
           .meaning = "MiB that may wait in the spool for each destination; "
                      "beyond it new items for it are refused. More: longer "
                      "outages are bridged, but one destination may fill the "
                      "disk for all."}),

      Switch<&ServerConfig::allow_plaintext_heap>(
          {.name = "allow_plaintext_heap",
           .group = kDelivery,
           .meaning = "Let the URLs of Heap be plain http to other machines. "
                      "It shows App IDs and identities to the network."}),
      HeapAddress<&ServerConfig::heap_us_url>({.name = "heap_us_url",
                                               .group = kDelivery,
                                               .meaning = "Heap in the US."}),
      HeapAddress<&ServerConfig::heap_eu_url>({.name = "heap_eu_url",
                                               .group = kDelivery,
                                               .meaning = "Heap in the EU."}),
      HeapProxy({.name = "heap_proxy",
                 .group = kDelivery,
                 .meaning = "Proxy through which every request to Heap goes, "
                            "by CONNECT. http_proxy, https_proxy and all_proxy "
                            "of the environment are ignored."}),
      Other("file",
            {.name = "heap_proxy_credentials_file",
             .group = kDelivery,
             .meaning = "File with one line, user:password, for the proxy.",
             .text =
                 [](const ServerConfig& config) {
                   const HeapWay& way = config.heap_way;
                   return way.proxy_user.empty() && way.proxy_password.empty()
                              ? ""
                              : absl::StrCat(way.proxy_user, ":",
                                             way.proxy_password);
                 }}),
      Other("PEM file",
            {.name = "heap_ca",
             .group = kDelivery,
             .meaning = "Root certificates that are trusted for Heap besides "
                        "the system's, such as that of a proxy that inspects "
                        "TLS.",
             .text =
                 [](const ServerConfig& config) {
                   return config.heap_way.extra_roots;
                 }}),
      Duration<&ServerConfig::max_age>(
          kMaxAgeRange,
          {.name = "max_age",
           .group = kDelivery,
           .meaning = "Age from which an item is dead-lettered if Heap fails "
                      "at it and nothing gets through."}),
      Duration<&ServerConfig::max_retry_after>(
          kRetryAfterRange,
          {.name = "max_retry_after",
           .group = kDelivery,
           .meaning = "How long a Retry-After of Heap may delay the next "
                      "request; 0s: it is ignored. It never shortens a "
                      "delay."}),
      Duration<&ServerConfig::drain_timeout>(
          kDrainTimeoutRange,
          {.name = "drain_timeout",
           .group = kDelivery,
           .meaning = "How long a stop waits for requests that are in flight. "
                      "What is not finished is sent again after the next "
                      "start."}),
      Switch<&ServerConfig::send_traceparent>(
          {.name = "send_traceparent",
           .group = kDelivery,
           .meaning =
               "Whether a request to Heap carries the trace context of "
               "the first of its items that came with one. It shows Heap your "
               "trace ids; the logs have them either way."}),

      DataDirectory({.name = "data_dir",
                     .group = kStorage,
                     .meaning = "Folder of the spool. One server at a time."}),
      SharedSpool({.name = "spool",
                   .group = kStorage,
                   .meaning =
                       "Database of the spool, instead of a folder; "
                       "any number of servers may share it, each of which "
                       "accepts, and delivers a part. The password "
                       "comes from a passfile, a service file or "
                       "PGPASSWORD. Several databases, with spaces between "
                       "them, divide the shards; which they are, and their "
                       "order, is fixed when they are new."}),
      Number<&ServerConfig::spool_shards>(
          kSpoolShardsRange,
          {.name = "spool_shards",
           .group = kStorage,
           .meaning = "Parts into which the destinations of --spool are "
                      "divided, by their names. So many servers can deliver at "
                      "once; each part costs every server some memory. Chosen "
                      "when the database is new, and the same in all servers "
                      "ever after."}),
      Duration<&ServerConfig::spool_lease>(
          kSpoolLeaseRange,
          {.name = "spool_lease",
           .group = kStorage,
           .meaning = "How long a server may go on delivering from the --spool "
                      "without the database. Longer: deliveries go on through "
                      "longer fail-overs, but after a crash other servers "
                      "take over later."}),
      Duration<&ServerConfig::spool_patience>(
          kSpoolPatienceRange,
          {.name = "spool_patience",
           .group = kStorage,
           .meaning = "How long a write waits for the database of --spool; "
                      "after that the server ends, to start again."}),
      Number<&ServerConfig::min_free_disk_bytes>(
          kFreeDiskRange,
          {.name = "min_free_disk_bytes",
           .group = kStorage,
           .meaning = "New items are refused while the disk has less space "
                      "than this, so that what waits can still be "
                      "delivered."}),

      Address<&ServerConfig::listen>(
          {.name = "listen", .group = kPorts, .meaning = "Address of gRPC."}),
      Address<&ServerConfig::http_listen>(
          {.name = "http_listen",
           .group = kPorts,
           .meaning = "Address of metrics and status page. localhost is "
                      "127.0.0.1 and ::1; [::] is every address of IPv6 and "
                      "IPv4, and of IPv4 alone on a system without IPv6."}),
      Number<kPort, &Port::max_message_bytes>(
          kMessageBytesRange,
          {.name = "max_message_bytes",
           .group = kPorts,
           .meaning = "Maximum size of a gRPC message in bytes, inflated if it "
                      "is compressed."}),
      Number<kPort, &Port::max_metadata_bytes>(
          kMetadataBytesRange,
          {.name = "max_metadata_bytes",
           .group = kPorts,
           .meaning = "Maximum size of a call's metadata in bytes."}),
      Number<kPort, &Port::max_memory_bytes>(
          kMemoryBytesRange,
          {.name = "max_memory_bytes",
           .group = kPorts,
           .meaning = "Memory in bytes that gRPC may use for connections and "
                      "for messages on their way. Connections without an "
                      "admitted call use an eighth, answers that nobody reads "
                      "another, messages that did not come whole a quarter. "
                      "Less: slower under many large messages."}),
      Number<kPort, &Port::max_connections>(
          kConnectionsRange,
          {.name = "max_connections",
           .group = kPorts,
           .meaning = "Concurrent gRPC connections with an admitted call; "
                      "beyond it the one that was idle for longest gives way, "
                      "of the caller with the most. More: more memory."}),
      Number<kPort, &Port::max_unproven_connections>(
          kConnectionsRange,
          {.name = "max_unproven_connections",
           .group = kPorts,
           .meaning = "Connections without an admitted call, beside the "
                      "others; beyond it the "
                      "oldest is ended. More: more clients may connect at the "
                      "same moment, and strangers may use more memory."}),
      Duration<kPort, &Port::unproven_time>(
          kUnprovenTimeRange,
          {.name = "unproven_time",
           .group = kPorts,
           .meaning = "Time in which a connection must make a call or a health "
                      "check. More: slower links get a first call through."}),
      Number<kPort, &Port::max_streams_per_connection>(
          kCallsRange,
          {.name = "max_streams_per_connection",
           .group = kPorts,
           .meaning = "Concurrent calls on one connection; more wait at the "
                      "client."}),
      Number<kPort, &Port::max_calls>(
          kCallsRange,
          {.name = "max_calls",
           .group = kPorts,
           .meaning = "Concurrent unary calls, half of which may wait for a "
                      "delivery; more are refused."}),
      Number<kPort, &Port::max_streams>(
          kCallsRange,
          {.name = "max_streams",
           .group = kPorts,
           .meaning = "Concurrent bulk streams; more are refused."}),
      Number<kPort, &Port::max_caller_share>(
          kPercentRange,
          {.name = "max_caller_share",
           .group = kPorts,
           .meaning = "Percentage of the connections, of the bulk streams, of "
                      "the calls that wait for a delivery, and of the Flushes, "
                      "which one caller may have open; 100: no share. Callers "
                      "without a name cannot be told apart and have none. "
                      "Less: more bad neighbours are needed to keep others "
                      "out; more, where all calls have one identity, such as "
                      "that of a proxy."}),
      Duration<kPort, &Port::silent_stream_time>(
          kSilentStreamRange,
          {.name = "silent_stream_time",
           .group = kPorts,
           .meaning = "How long a bulk stream may wait for nothing but its "
                      "client before it is ended, if its place is needed; "
                      "while there are places it stays. The client library "
                      "goes on with another one."}),
      Duration<kPort, &Port::max_connection_age>(
          kConnectionAgeRange,
          {.name = "max_connection_age",
           .group = kPorts,
           .meaning = "Age at which a connection is asked to go, so that load "
                      "balancers can spread clients; 0s: never. Streams "
                      "resume."}),
      Duration<kPort, &Port::max_connection_age_grace>(
          kConnectionAgeRange,
          {.name = "max_connection_age_grace",
           .group = kPorts,
           .meaning = "How long the calls of such a connection may go on."}),
      Duration<kPort, &Port::keepalive_time>(
          kKeepaliveRange,
          {.name = "keepalive_time",
           .group = kPorts,
           .meaning = "Idle time after which a connection is pinged."}),

      Other("PEM file",
            {.name = "tls_cert",
             .group = kAccess,
             .meaning = "The certificate of the gRPC port and those between it "
                        "and its CA. Without: plaintext.",
             .on_reload = OnReload::kContentsApplied,
             .text = tls}),
      Other("PEM file", {.name = "tls_key",
                         .group = kAccess,
                         .meaning = "The private key of --tls_cert.",
                         .on_reload = OnReload::kApplied}),
      Other("PEM file", {.name = "tls_client_ca",
                         .group = kAccess,
                         .meaning = "The CAs of client certificates (mutual "
                                    "TLS).",
                         .on_reload = OnReload::kApplied}),
      Other("required or optional",
            {.name = "tls_client_certificates",
             .group = kAccess,
             .meaning = "With --tls_client_ca, whether clients need a "
                        "certificate; required where nothing is said.",
             .text =
                 [](const ServerConfig& config) {
                   switch (config.client_certificates) {
                     case ClientCertificates::kNone:
                       return "";
                     case ClientCertificates::kOptional:
                       return "optional";
                     case ClientCertificates::kRequired:
                       return "required";
                   }
                   return "";
                 }}),
      Other("file",
            {.name = "auth",
             .group = kAccess,
             .meaning = "JSON file with the callers, how they prove who they "
                        "are and what they may do. Without: every caller may "
                        "do everything.",
             .on_reload = OnReload::kContentsApplied,
             .text =
                 [](const ServerConfig& config) {
                   return config.access.has_value() ? "given" : "";
                 }}),
      Switch<&ServerConfig::allow_plaintext>(
          {.name = "allow_plaintext",
           .group = kAccess,
           .meaning = "Let other machines connect to --listen without TLS. It "
                      "shows identities and tokens to the network."}),
      Switch<&ServerConfig::allow_core_dumps>(
          {.name = "allow_core_dumps",
           .group = kAccess,
           .meaning = "Let the process leave core dumps, which hold "
                      "identities, App IDs and keys."}),

      Duration<&ServerConfig::reload_interval>(
          kReloadRange,
          {.name = "reload_interval",
           .group = kObservation,
           .meaning = "How often the files of --config, --auth and TLS are "
                      "checked for changes; 0s: only on SIGHUP."}),
      Level({.name = "log_level",
             .group = kObservation,
             .meaning = "The least severe lines that are logged, as JSON on "
                        "standard error."}),
      Number<&ServerConfig::metrics_destinations>(
          kMetricsDestinationsRange,
          {.name = "metrics_destinations",
           .group = kObservation,
           .meaning = "Destinations with metrics of their own, the first of "
                      "the file; the others are summed up as _other. Each "
                      "costs a scrape some 200 lines."}),
  };
}

}  // namespace

const std::vector<Setting>& Settings() {
  static const auto& settings = *new std::vector<Setting>(MakeSettings());
  return settings;
}

std::string EnvironmentVariable(absl::string_view setting) {
  return absl::StrCat("HEAPSYNC_", absl::AsciiStrToUpper(setting));
}

std::vector<std::string> SettingsThatNeedRestart(const ServerConfig& running,
                                                 const ServerConfig& wanted) {
  std::vector<std::string> changed;
  for (const Setting& setting : Settings()) {
    if (setting.on_reload != OnReload::kApplied &&
        setting.text(running) != setting.text(wanted)) {
      changed.push_back(setting.name);
    }
  }
  return changed;
}

}  // namespace heapsync
