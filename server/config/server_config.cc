#include "server/config/server_config.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "heap_adapter/config/duration_text.h"
#include "heap_adapter/config/ranges.h"
#include "heap_adapter/config/url.h"

namespace heapsync {
namespace {

using std::chrono::milliseconds;

constexpr NumberRange kMessageBytesRange{1 << 10, 512 << 20};
constexpr NumberRange kMetricsDestinationsRange{0, 10'000};
constexpr NumberRange kMetadataBytesRange{1 << 10, 1 << 20};
constexpr NumberRange kMemoryBytesRange{32 << 20, 4'000'000'000};
constexpr NumberRange kConnectionsRange{1, 1'000'000};
constexpr NumberRange kCallsRange{1, 1'000'000};
constexpr NumberRange kFreeDiskRange{0, 4'294'967'295};

struct DurationRange {
  milliseconds least;
  milliseconds most;
  absl::string_view words;
};
constexpr DurationRange kBatchWaitRange{milliseconds(0), kMaxBatchWait,
                                        "0ms to 1h"};
constexpr DurationRange kMaxAgeRange{std::chrono::seconds(1),
                                     std::chrono::hours(8760), "1s to 8760h"};
constexpr DurationRange kRetryAfterRange{
    milliseconds(0), std::chrono::hours(8760), "0s to 8760h"};
constexpr DurationRange kDrainTimeoutRange{milliseconds(0),
                                           std::chrono::hours(1), "0s to 1h"};

constexpr DurationRange kConnectionAgeRange{
    milliseconds(0), std::chrono::hours(8760), "0s to 8760h"};
constexpr DurationRange kKeepaliveRange{std::chrono::seconds(1),
                                        std::chrono::hours(24), "1s to 24h"};
constexpr DurationRange kReloadRange{milliseconds(0), std::chrono::hours(24),
                                     "0s to 24h"};

// True if only this machine can reach the address. REQUIRES:
// IsListenAddress(address).
bool IsLoopbackAddress(absl::string_view address) {
  return IsLoopbackHost(std::string(address.substr(0, address.rfind(':'))));
}

// "host:port", the host as a name, an IPv4 address, or an IPv6 address in
// brackets. Port 0 lets the system choose one.
bool IsListenAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  const absl::string_view host = address.substr(0, colon);
  const absl::string_view port = address.substr(colon + 1);
  uint32_t number = 0;
  const bool bracketed = host.front() == '[' && host.back() == ']';
  return (bracketed ||
          host.find_first_of(":[]/ ") == absl::string_view::npos) &&
         std::all_of(port.begin(), port.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(port, &number) && number <= 65'535;
}

struct Setting {
  std::string text;
  std::string place;  // "--listen" or "HEAPSYNC_LISTEN"
};

// Reads the settings one after the other and gathers their faults.
class SettingsReader {
 public:
  SettingsReader(const FlagValues& flags, const Surroundings& surroundings)
      : flags_(flags), surroundings_(surroundings) {}

  absl::StatusOr<ServerConfig> Read() {
    ServerConfig config;
    config.destinations = ReadDestinations();
    ReadBatchSettings(config.destinations);
    ReadQuota(config.destinations);
    ReadAddress("listen", config.listen);
    ReadAddress("http_listen", config.http_listen);
    ReadDataDir(config.data_dir);
    ReadUrls(config);
    ReadHeapWay(config.heap_way);
    ReadDuration("max_age", kMaxAgeRange, config.max_age);
    ReadDuration("max_retry_after", kRetryAfterRange, config.max_retry_after);
    ReadDuration("drain_timeout", kDrainTimeoutRange, config.drain_timeout);
    ReadPortLimits(config.port);
    ReadTls(config);
    ReadPlaintext(config);
    ReadAccess(config);
    config.allow_core_dumps = ReadBool("allow_core_dumps");
    ReadDuration("reload_interval", kReloadRange, config.reload_interval);
    ReadNumber("min_free_disk_bytes", kFreeDiskRange,
               config.min_free_disk_bytes);
    ReadLogLevel(config.log_level);
    ReadNumber("metrics_destinations", kMetricsDestinationsRange,
               config.metrics_destinations);
    ReadSwitch("send_traceparent", config.send_traceparent);
    config.files = std::move(files_);
    if (faults_.empty()) return config;
    return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
  }

 private:
  std::optional<Setting> Find(const std::string& name) const {
    if (const auto flag = flags_.find(name); flag != flags_.end()) {
      return Setting{flag->second, absl::StrCat("--", name)};
    }
    std::string variable = EnvironmentVariable(name);
    const std::optional<std::string> value = surroundings_.variable(variable);
    if (!value.has_value()) return std::nullopt;
    std::string text(absl::StripAsciiWhitespace(*value));
    if (text.empty()) return std::nullopt;
    return Setting{std::move(text), std::move(variable)};
  }

  void AddFault(absl::string_view place, absl::string_view text) {
    faults_.push_back(absl::StrCat(place, ": ", text));
  }

  DestinationConfig ReadDestinations() {
    const std::optional<Setting> app_id = Find("app_id");
    const std::optional<Setting> region = Find("region");
    const std::optional<Setting> file = Find("config");
    if (file.has_value()) {
      if (app_id.has_value()) {
        AddFault(app_id->place,
                 absl::StrCat("must not stand beside ", file->place,
                              ": the destination belongs into the file"));
      }
      if (region.has_value()) {
        AddFault(region->place,
                 absl::StrCat("must not stand beside ", file->place,
                              ": each destination in the file has its region"));
      }
      return ReadFile(*file);
    }
    const Region checked_region =
        region.has_value() ? ReadRegion(*region) : Region::kUs;
    if (!app_id.has_value()) {
      AddFault("no destination",
               "give --app_id (HEAPSYNC_APP_ID) for one, or --config "
               "(HEAPSYNC_CONFIG) with a file of them");
      return {};
    }
    return OneDestination(*app_id, checked_region);
  }

  DestinationConfig ReadFile(const Setting& setting) {
    const std::optional<std::string> text = ReadText(setting);
    if (!text.has_value()) return {};
    absl::StatusOr<DestinationConfig> config = ParseDestinationConfig(*text);
    if (config.ok()) return *std::move(config);
    AddFaults(setting.text, config.status());
    return {};
  }

  // The file that a setting names; none and a fault if it cannot be read.
  std::optional<std::string> ReadText(const Setting& setting) {
    files_.push_back(setting.text);
    absl::StatusOr<std::string> text = surroundings_.file(setting.text);
    if (text.ok()) return *std::move(text);
    AddFault(setting.place, text.status().message());
    return std::nullopt;
  }

  void AddFaults(absl::string_view place, const absl::Status& faults) {
    for (const absl::string_view fault :
         absl::StrSplit(faults.message(), '\n')) {
      AddFault(place, fault);
    }
  }

  void ReadPortLimits(PortLimits& port) {
    ReadNumber("max_message_bytes", kMessageBytesRange, port.max_message_bytes);
    ReadNumber("max_metadata_bytes", kMetadataBytesRange,
               port.max_metadata_bytes);
    ReadNumber("max_memory_bytes", kMemoryBytesRange, port.max_memory_bytes);
    ReadNumber("max_connections", kConnectionsRange, port.max_connections);
    ReadNumber("max_streams_per_connection", kCallsRange,
               port.max_streams_per_connection);
    ReadNumber("max_calls", kCallsRange, port.max_calls);
    ReadNumber("max_streams", kCallsRange, port.max_streams);
    ReadDuration("max_connection_age", kConnectionAgeRange,
                 port.max_connection_age);
    ReadDuration("max_connection_age_grace", kConnectionAgeRange,
                 port.max_connection_age_grace);
    ReadDuration("keepalive_time", kKeepaliveRange, port.keepalive_time);
  }

  void ReadTls(ServerConfig& config) {
    const std::optional<Setting> certificate = Find("tls_cert");
    const std::optional<Setting> key = Find("tls_key");
    const std::optional<Setting> ca = Find("tls_client_ca");
    const std::optional<Setting> asked = Find("tls_client_certificates");
    if (certificate.has_value() != key.has_value()) {
      const Setting& alone = certificate.has_value() ? *certificate : *key;
      AddFault(alone.place, certificate.has_value()
                                ? "needs --tls_key (HEAPSYNC_TLS_KEY), too"
                                : "needs --tls_cert (HEAPSYNC_TLS_CERT), too");
    }
    if (ca.has_value() && !certificate.has_value() && !key.has_value()) {
      AddFault(ca->place, "means nothing without --tls_cert and --tls_key");
    }
    if (ca.has_value()) {
      config.client_certificates = ClientCertificates::kRequired;
    }
    if (asked.has_value()) {
      if (asked->text == "optional") {
        config.client_certificates = ClientCertificates::kOptional;
      } else if (asked->text != "required") {
        AddFault(asked->place, "must be required or optional");
      }
      if (!ca.has_value()) {
        AddFault(asked->place, "means nothing without --tls_client_ca");
      }
    }
    TlsMaterial material;
    bool whole = certificate.has_value() && key.has_value();
    const auto read = [&](const std::optional<Setting>& setting,
                          std::string& to) {
      if (!setting.has_value()) return;
      std::optional<std::string> text = ReadText(*setting);
      if (text.has_value() && text->empty()) {
        AddFault(setting->text, "is empty");
      }
      to = std::move(text).value_or("");
      whole = whole && !to.empty();
    };
    read(certificate, material.certificate_chain);
    read(key, material.private_key);
    read(ca, material.client_ca);
    if (!whole) return;
    const TlsFaults faults =
        CheckTlsMaterial(material, std::chrono::system_clock::now());
    const auto add = [&](const std::optional<Setting>& setting,
                         const std::vector<std::string>& all) {
      for (const std::string& fault : all) AddFault(setting->text, fault);
    };
    add(certificate, faults.certificate);
    add(key, faults.key);
    add(ca, faults.client_ca);
    config.tls = std::move(material);
  }

  void ReadPlaintext(ServerConfig& config) {
    config.allow_plaintext = ReadBool("allow_plaintext");
    if (config.allow_plaintext || Find("tls_cert").has_value()) return;
    if (!IsListenAddress(config.listen) || IsLoopbackAddress(config.listen)) {
      return;
    }
    const std::optional<Setting> listen = Find("listen");
    AddFault(listen->place,
             "other machines would reach it in plaintext, which shows "
             "identities and tokens to the network: give --tls_cert and "
             "--tls_key, or --allow_plaintext where something else encrypts");
  }

  void ReadAccess(ServerConfig& config) {
    const std::optional<Setting> file = Find("auth");
    if (!file.has_value()) return;
    const std::optional<std::string> text = ReadText(*file);
    if (!text.has_value()) return;
    absl::StatusOr<AccessRules> rules = AccessRules::Parse(*text);
    if (rules.ok()) {
      config.access = *std::move(rules);
    } else {
      AddFaults(file->text, rules.status());
    }
  }

  // False where nothing is said.
  bool ReadBool(const char* name) {
    bool on = false;
    ReadSwitch(name, on);
    return on;
  }

  Region ReadRegion(const Setting& setting) {
    for (const Region region : {Region::kUs, Region::kEu}) {
      if (setting.text == Name(region)) return region;
    }
    AddFault(setting.place, "must be us or eu");
    return Region::kUs;
  }

  DestinationConfig OneDestination(const Setting& setting, Region region) {
    const absl::StatusOr<AppId> app_id = AppId::Parse(setting.text);
    if (!app_id.ok()) {
      AddFault(setting.place, app_id.status().message());
      return {};
    }
    DestinationConfig config;
    config.destinations.push_back({.name = "default",
                                   .app_id = *app_id,
                                   .region = region,
                                   .encoding = {},
                                   .limits = {},
                                   .batch = {}});
    config.default_destination = "default";
    return config;
  }

  void ReadBatchSettings(DestinationConfig& config) {
    BatchRules given;
    const bool items =
        ReadNumber("max_batch_items", kBatchItemsRange, given.max_items);
    const bool bytes =
        ReadNumber("max_batch_bytes", kBatchBytesRange, given.max_bytes);
    const bool wait =
        ReadDuration("max_batch_wait", kBatchWaitRange, given.max_wait);
    for (Destination& destination : config.destinations) {
      if (items) destination.batch.max_items = given.max_items;
      if (bytes) destination.batch.max_bytes = given.max_bytes;
      if (wait) destination.batch.max_wait = given.max_wait;
    }
  }

  void ReadQuota(DestinationConfig& config) {
    uint32_t mib = 0;
    if (!ReadNumber("max_queued_mib", kQueuedMibRange, mib)) return;
    for (Destination& destination : config.destinations) {
      destination.max_queued_mib = mib;
    }
  }

  void ReadAddress(const char* name, std::string& address) {
    const std::optional<Setting> setting = Find(name);
    if (!setting.has_value()) return;
    if (!IsListenAddress(setting->text)) {
      AddFault(setting->place,
               "must be host:port, such as 127.0.0.1:50051 or [::]:50051");
    }
    address = setting->text;
  }

  void ReadDataDir(std::string& data_dir) {
    const std::optional<Setting> setting = Find("data_dir");
    if (!setting.has_value()) return;
    if (setting->text.empty()) AddFault(setting->place, "must name a folder");
    data_dir = setting->text;
  }

  void ReadUrls(ServerConfig& config) {
    const PlaintextPolicy plaintext = ReadBool("allow_plaintext_heap")
                                          ? PlaintextPolicy::kAnywhere
                                          : PlaintextPolicy::kLoopbackOnly;
    const auto read = [&](const char* name, std::string& url) {
      const std::optional<Setting> setting = Find(name);
      if (!setting.has_value()) return;
      absl::StatusOr<std::string> checked =
          CheckHeapUrl(setting->text, plaintext);
      if (checked.ok()) {
        url = *std::move(checked);
      } else {
        AddFault(setting->place, checked.status().message());
      }
    };
    read("heap_us_url", config.heap_us_url);
    read("heap_eu_url", config.heap_eu_url);
  }

  void ReadHeapWay(HeapWay& way) {
    const std::optional<Setting> proxy = Find("heap_proxy");
    const std::optional<Setting> credentials =
        Find("heap_proxy_credentials_file");
    const std::optional<Setting> roots = Find("heap_ca");
    if (proxy.has_value()) {
      absl::StatusOr<std::string> url = CheckProxyUrl(proxy->text);
      if (url.ok()) {
        way.proxy = *std::move(url);
      } else {
        AddFault(proxy->place, url.status().message());
      }
    }
    if (credentials.has_value()) {
      if (!proxy.has_value()) {
        AddFault(credentials->place, "means nothing without --heap_proxy");
      }
      ReadProxyCredentials(*credentials, way);
    }
    if (roots.has_value()) {
      std::optional<std::string> pem = ReadText(*roots);
      if (!pem.has_value()) return;
      for (const std::string& fault : CheckCaFile(*pem)) {
        AddFault(roots->text, fault);
      }
      way.extra_roots = *std::move(pem);
    }
  }

  void ReadProxyCredentials(const Setting& setting, HeapWay& way) {
    const std::optional<std::string> text = ReadText(setting);
    if (!text.has_value()) return;
    const absl::string_view line = absl::StripTrailingAsciiWhitespace(*text);
    const size_t colon = line.find(':');
    const bool good =
        colon != absl::string_view::npos && colon > 0 &&
        std::none_of(line.begin(), line.end(), absl::ascii_iscntrl);
    if (!good) {
      AddFault(setting.text, "must hold one line, user:password");
      return;
    }
    way.proxy_user = std::string(line.substr(0, colon));
    way.proxy_password = std::string(line.substr(colon + 1));
  }

  void ReadSwitch(const char* name, bool& on) {
    const std::optional<Setting> setting = Find(name);
    if (!setting.has_value()) return;
    if (!absl::SimpleAtob(setting->text, &on)) {
      AddFault(setting->place, "must be true or false");
    }
  }

  // These two return whether the setting was given and good.
  bool ReadNumber(const char* name, NumberRange range, uint32_t& number) {
    const std::optional<Setting> setting = Find(name);
    if (!setting.has_value()) return false;
    uint32_t value = 0;
    if (!absl::SimpleAtoi(setting->text, &value) || value < range.least ||
        value > range.most) {
      AddFault(setting->place, absl::StrCat("must be a whole number from ",
                                            range.least, " to ", range.most));
      return false;
    }
    number = value;
    return true;
  }

  bool ReadDuration(const char* name, const DurationRange& range,
                    milliseconds& duration) {
    const std::optional<Setting> setting = Find(name);
    if (!setting.has_value()) return false;
    const auto value = ParseDurationText(setting->text);
    if (!value.has_value() || *value < range.least || *value > range.most) {
      AddFault(setting->place,
               absl::StrCat("must be a duration such as 500ms, 2s, 1m or 24h, "
                            "from ",
                            range.words));
      return false;
    }
    duration = *value;
    return true;
  }

  void ReadLogLevel(LogLevel& level) {
    const std::optional<Setting> setting = Find("log_level");
    if (!setting.has_value()) return;
    constexpr std::array<std::pair<absl::string_view, LogLevel>, 4> kLevels = {
        {{"debug", LogLevel::kDebug},
         {"info", LogLevel::kInfo},
         {"warning", LogLevel::kWarning},
         {"error", LogLevel::kError}}};
    for (const auto& [name, value] : kLevels) {
      if (setting->text == name) {
        level = value;
        return;
      }
    }
    AddFault(setting->place, "must be debug, info, warning or error");
  }

  const FlagValues& flags_;
  const Surroundings& surroundings_;
  std::vector<std::string> faults_;
  std::vector<std::string> files_;
};

}  // namespace

std::string EnvironmentVariable(absl::string_view setting) {
  return absl::StrCat("HEAPSYNC_", absl::AsciiStrToUpper(setting));
}

absl::StatusOr<ServerConfig> BuildServerConfig(
    const FlagValues& flags, const Surroundings& surroundings) {
  return SettingsReader(flags, surroundings).Read();
}

}  // namespace heapsync
