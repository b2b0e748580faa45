#ifndef HEAPSYNC_SERVER_SERVER_CONFIG_H_
#define HEAPSYNC_SERVER_SERVER_CONFIG_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/config/config.h"
#include "heap_adapter/model/destination.h"

namespace heapsync {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// All that the server is told from outside, checked.
struct ServerConfig {
  DestinationConfig destinations;

  std::string listen = "127.0.0.1:50051";      // host:port of gRPC
  std::string http_listen = "127.0.0.1:9464";  // host:port of metrics and pages
  std::string data_dir = "/var/lib/heapsync";

  // Where Heap's API is: scheme, host and perhaps port, without a slash.
  std::string heap_us_url{HeapUrl(Region::kUs)};
  std::string heap_eu_url{HeapUrl(Region::kEu)};

  // An item that is older is dead-lettered as expired.
  std::chrono::milliseconds max_age = std::chrono::hours(168);

  // How long a stop waits for requests to Heap that are under way.
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(10);

  // Longest gRPC message. Larger: longer chunks, more memory for each caller.
  uint32_t max_message_bytes = 4 << 20;

  LogLevel log_level = LogLevel::kInfo;

  // Destinations with metrics of their own: the first of the file. The others
  // are summed up, so that ten thousand do not make a scrape of megabytes. Each
  // costs some 200 lines.
  uint32_t metrics_destinations = 100;

  // Whether a request to Heap carries the trace of the first of its items that
  // came with one. Off: traces end here, and Heap learns no trace ids.
  bool send_traceparent = true;

  const std::string& UrlOf(Region region) const {
    return region == Region::kUs ? heap_us_url : heap_eu_url;
  }
};

// Every setting, as its flag is called. The environment variable is
// EnvironmentVariable(name).
inline constexpr std::array<const char*, 19> kSettings = {
    "app_id",
    "region",
    "config",
    "listen",
    "http_listen",
    "data_dir",
    "heap_us_url",
    "heap_eu_url",
    "allow_plaintext_heap",
    "max_batch_items",
    "max_batch_bytes",
    "max_batch_wait",
    "max_age",
    "drain_timeout",
    "max_message_bytes",
    "log_level",
    "metrics_destinations",
    "send_traceparent",
    "max_queued_mib"};

// "HEAPSYNC_HTTP_LISTEN" for "http_listen".
std::string EnvironmentVariable(absl::string_view setting);

// The settings given on the command line, by name.
using FlagValues = absl::flat_hash_map<std::string, std::string>;

// What a process finds around it.
struct Surroundings {
  std::function<std::optional<std::string>(const std::string& name)> variable;
  std::function<absl::StatusOr<std::string>(const std::string& path)> file;
};

// Flag > environment > file > default. A variable that is empty counts as not
// set, and white space around its value is cut off: secrets mounted from files
// often end with a line break. Variables with other HEAPSYNC_ names are not
// looked at, since Kubernetes sets some for a service called "heapsync".
//
// The batch settings and the quota, where given, replace those of every
// destination in the file. With `app_id` the one destination is called
// "default".
//
// Errors: kInvalidArgument with one line per fault, each starting with the
// flag, variable or file that it lies in; all faults at once, none with an App
// ID.
absl::StatusOr<ServerConfig> BuildServerConfig(
    const FlagValues& flags, const Surroundings& surroundings);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_SERVER_CONFIG_H_
