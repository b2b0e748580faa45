#ifndef HEAPSYNC_SERVER_CONFIG_SERVER_CONFIG_H_
#define HEAPSYNC_SERVER_CONFIG_SERVER_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/environment_names.h"
#include "heap_adapter/config/config.h"
#include "server/access/access_rules.h"
#include "server/config/file_watch.h"
#include "server/config/tls_material.h"

namespace heapsync {

// Client certificates: ignored, accepted or required.
enum class ClientCertificates { kNone, kOptional, kRequired };

// Bounds of the gRPC port. Nothing that a client does makes the server use more
// than they allow.
struct PortLimits {
  // Longest message. Larger: longer chunks, more memory for each caller.
  uint32_t max_message_bytes = 4 << 20;

  // Longest request metadata.
  uint32_t max_metadata_bytes = 16 << 10;

  // Memory for connections and messages that are being read, of all clients
  // together. Near it gRPC reads more slowly; beyond it calls are refused.
  uint32_t max_memory_bytes = 512 << 20;

  // Connections with an admitted call: beyond it an idle one gives way, and
  // calls get RESOURCE_EXHAUSTED if there is none.
  uint32_t max_connections = 4'000;
  // Connections without one, beside those: beyond it the oldest gives way. And
  // the time in which a connection must make a call.
  uint32_t max_unproven_connections = 64;
  std::chrono::milliseconds unproven_time = std::chrono::seconds(10);
  uint32_t max_streams_per_connection = 100;
  uint32_t max_calls = 20'000;
  uint32_t max_streams = 1'000;

  // The percentage of the connections, of the streams, of the calls that may
  // wait for a delivery, and of the flushes that one caller may have open. And
  // the time after which a silent stream gives up its place if it is needed.
  uint32_t max_caller_share = 25;
  std::chrono::milliseconds silent_stream_time = std::chrono::minutes(5);

  // After this a connection is asked to go, so that clients spread over new
  // servers; after the grace its streams end. Zero: never.
  std::chrono::milliseconds max_connection_age = std::chrono::hours(1);
  std::chrono::milliseconds max_connection_age_grace = std::chrono::minutes(1);

  // Idle time after which a connection is pinged.
  std::chrono::milliseconds keepalive_time = std::chrono::minutes(1);
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// The way of requests to Heap.
struct HeapWay {
  // See CurlTransportOptions.
  std::string proxy;  // empty: directly
  std::string proxy_user;
  std::string proxy_password;
  std::string extra_roots;  // PEM
};

// The settings given on the command line, by name.
using FlagValues = absl::flat_hash_map<std::string, std::string>;

// All that the server is told from outside, checked.
struct ServerConfig {
  DestinationConfig destinations;

  std::string listen = "127.0.0.1:50051";      // host:port of gRPC
  std::string http_listen = "localhost:9464";  // host:port of metrics and pages
  std::string data_dir = "/var/lib/heapsync";

  // Base URL of Heap's API: scheme, host and optional port, without a slash.
  std::string heap_us_url{HeapUrl(Region::kUs)};
  std::string heap_eu_url{HeapUrl(Region::kEu)};

  // The URLs may be plain http to other machines.
  bool allow_plaintext_heap = false;

  HeapWay heap_way;

  // An item that is older is dead-lettered as expired.
  std::chrono::milliseconds max_age = std::chrono::hours(168);

  // A Retry-After of Heap's counts up to this; zero: it is ignored.
  std::chrono::milliseconds max_retry_after = std::chrono::hours(1);

  // Interval at which the files are checked for changes; zero: they are read
  // on SIGHUP only.
  std::chrono::milliseconds reload_interval = std::chrono::seconds(2);

  // Time that a stop waits for requests to Heap that are in flight.
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(10);

  PortLimits port;

  // None: plaintext.
  std::optional<TlsMaterial> tls;
  ClientCertificates client_certificates = ClientCertificates::kNone;

  // Other machines may come in plaintext.
  bool allow_plaintext = false;

  // Rights of the callers; none: every caller may do everything.
  std::optional<AccessRules> access;

  // A core dump holds identities, App IDs and private keys.
  bool allow_core_dumps = false;

  // URIs of the databases of a spool in PostgreSQL, which servers share, in
  // their order; empty: the spool is in `data_dir`.
  std::vector<std::string> spool;
  // Parts of the shared spool, which its servers deliver from.
  uint32_t spool_shards = 16;
  // The lease of a server that shares the spool.
  std::chrono::milliseconds spool_lease = std::chrono::seconds(10);
  // Time for which a write waits for its database.
  std::chrono::milliseconds spool_patience = std::chrono::minutes(15);

  // New items are refused while the disk has less space than this. Zero: until
  // it is full.
  uint32_t min_free_disk_bytes = 256 << 20;

  LogLevel log_level = LogLevel::kInfo;

  // Destinations with metrics of their own: the first of the file. The others
  // are summed up, so that ten thousand do not make a scrape of megabytes. Each
  // costs some 200 lines.
  uint32_t metrics_destinations = 100;

  // Requests to Heap carry the trace of the first of their items that has
  // one. Off: traces end here, and Heap gets no trace ids.
  bool send_traceparent = false;

  // The files that this was read from. When one changes, or on a signal, the
  // same flags give the new configuration.
  std::vector<WatchedFile> files;
  FlagValues flags;
};

// The environment of a process, injected by tests.
struct Surroundings {
  std::function<std::optional<std::string>(const std::string& name)> variable;
  std::function<absl::StatusOr<std::string>(const std::string& path)> file;
  std::function<FileStamp(const std::string& path)> stamp = StampOf;
  Environment environment;  // all variables, for their names
};

// The parts of a configuration, each of which can be reloaded by itself.
enum class ConfigPart {
  kDestinations,
  kCertificates,
  kCallers,
  kOther,  // needs a restart
};

// For logs, such as "callers".
absl::string_view Name(ConfigPart part);

struct ConfigFault {
  ConfigPart part = ConfigPart::kOther;
  // Starts with the flag, variable or file that the fault lies in. Contains no
  // App ID.
  std::string text;
};

// A part of `config` with a fault means nothing.
struct ConfigReading {
  ServerConfig config;
  std::vector<ConfigFault> faults;

  bool IsGood(ConfigPart part) const;
};

// Flag > environment > file > default. A variable that is empty counts as not
// set, and white space around its value is cut off: secrets mounted from files
// often end with a line break.
//
// The batch settings and the quota, where given, replace those of every
// destination in the file. With `app_id` the one destination is called
// "default".
//
ConfigReading ReadServerConfig(const FlagValues& flags,
                               const Surroundings& surroundings);

// The same, all or nothing. Errors: kInvalidArgument with one line per fault.
absl::StatusOr<ServerConfig> BuildServerConfig(
    const FlagValues& flags, const Surroundings& surroundings);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_SERVER_CONFIG_H_
