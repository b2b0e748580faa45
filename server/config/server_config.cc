#include "server/config/server_config.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/config/listen_address.h"
#include "server/config/settings.h"

namespace heapsync {
namespace {

// The text of a setting and where it was given.
struct Given {
  std::string text;
  std::string place;  // "--listen" or "HEAPSYNC_LISTEN"
};

// Reads the settings one after the other and gathers their faults.
class SettingsReader {
 public:
  SettingsReader(const FlagValues& flags, const Surroundings& surroundings)
      : flags_(flags), surroundings_(surroundings) {}

  ConfigReading Read() {
    ServerConfig config;
    part_ = ConfigPart::kDestinations;
    config.destinations = ReadDestinations();
    part_ = ConfigPart::kOther;
    for (const Setting& setting : Settings()) {
      if (setting.set == nullptr) continue;
      const std::optional<Given> given = Find(setting.name);
      if (!given.has_value()) continue;
      const absl::Status set = setting.set(config, given->text);
      if (!set.ok()) AddFault(given->place, set.message());
    }
    ReadHeapWay(config.heap_way);
    part_ = ConfigPart::kCertificates;
    ReadTls(config);
    part_ = ConfigPart::kOther;
    CheckPlaintext(config);
    part_ = ConfigPart::kCallers;
    ReadAccess(config);
    config.files = std::move(files_);
    config.flags = flags_;
    return {.config = std::move(config), .faults = std::move(faults_)};
  }

 private:
  std::optional<Given> Find(const std::string& name) const {
    if (const auto flag = flags_.find(name); flag != flags_.end()) {
      return Given{flag->second, absl::StrCat("--", name)};
    }
    std::string variable = EnvironmentVariable(name);
    const std::optional<std::string> value = surroundings_.variable(variable);
    if (!value.has_value()) return std::nullopt;
    std::string text(absl::StripAsciiWhitespace(*value));
    if (text.empty()) return std::nullopt;
    return Given{std::move(text), std::move(variable)};
  }

  void AddFault(absl::string_view place, absl::string_view text) {
    faults_.push_back({.part = part_, .text = absl::StrCat(place, ": ", text)});
  }

  DestinationConfig ReadDestinations() {
    const std::optional<Given> app_id = Find("app_id");
    const std::optional<Given> region = Find("region");
    const std::optional<Given> file = Find("config");
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

  DestinationConfig ReadFile(const Given& setting) {
    const std::optional<std::string> text = ReadText(setting);
    if (!text.has_value()) return {};
    absl::StatusOr<DestinationConfig> config = ParseDestinationConfig(*text);
    if (config.ok()) return *std::move(config);
    AddFaults(setting.text, config.status());
    return {};
  }

  // The file that a setting names; none and a fault if it cannot be read.
  std::optional<std::string> ReadText(const Given& setting) {
    // Before it is read: a change in between is a change.
    files_.push_back({setting.text, surroundings_.stamp(setting.text)});
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

  void ReadTls(ServerConfig& config) {
    const std::optional<Given> certificate = Find("tls_cert");
    const std::optional<Given> key = Find("tls_key");
    const std::optional<Given> ca = Find("tls_client_ca");
    const std::optional<Given> asked = Find("tls_client_certificates");
    if (certificate.has_value() != key.has_value()) {
      const Given& alone = certificate.has_value() ? *certificate : *key;
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
    const auto read = [&](const std::optional<Given>& setting,
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
    const auto add = [&](const std::optional<Given>& setting,
                         const std::vector<std::string>& all) {
      for (const std::string& fault : all) AddFault(setting->text, fault);
    };
    add(certificate, faults.certificate);
    add(key, faults.key);
    add(ca, faults.client_ca);
    config.tls = std::move(material);
  }

  void CheckPlaintext(const ServerConfig& config) {
    if (config.allow_plaintext || Find("tls_cert").has_value()) return;
    if (!IsListenAddress(config.listen) || IsLoopbackAddress(config.listen)) {
      return;
    }
    const std::optional<Given> listen = Find("listen");
    AddFault(listen->place,
             "other machines would reach it in plaintext, which shows "
             "identities and tokens to the network: give --tls_cert and "
             "--tls_key, or --allow_plaintext where something else encrypts");
  }

  void ReadAccess(ServerConfig& config) {
    const std::optional<Given> file = Find("auth");
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

  Region ReadRegion(const Given& setting) {
    for (const Region region : {Region::kUs, Region::kEu}) {
      if (setting.text == Name(region)) return region;
    }
    AddFault(setting.place, "must be us or eu");
    return Region::kUs;
  }

  DestinationConfig OneDestination(const Given& setting, Region region) {
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

  void ReadHeapWay(HeapWay& way) {
    const std::optional<Given> credentials =
        Find("heap_proxy_credentials_file");
    const std::optional<Given> roots = Find("heap_ca");
    if (credentials.has_value()) {
      if (!Find("heap_proxy").has_value()) {
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

  void ReadProxyCredentials(const Given& setting, HeapWay& way) {
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

  const FlagValues& flags_;
  const Surroundings& surroundings_;
  ConfigPart part_ = ConfigPart::kOther;  // that is being read
  std::vector<ConfigFault> faults_;
  std::vector<WatchedFile> files_;
};

}  // namespace

absl::string_view Name(ConfigPart part) {
  switch (part) {
    case ConfigPart::kDestinations:
      return "destinations";
    case ConfigPart::kCertificates:
      return "certificates";
    case ConfigPart::kCallers:
      return "callers";
    case ConfigPart::kOther:
      return "other settings";
  }
  return "";
}

bool ConfigReading::IsGood(ConfigPart part) const {
  return std::none_of(
      faults.begin(), faults.end(),
      [part](const ConfigFault& fault) { return fault.part == part; });
}

ConfigReading ReadServerConfig(const FlagValues& flags,
                               const Surroundings& surroundings) {
  return SettingsReader(flags, surroundings).Read();
}

absl::StatusOr<ServerConfig> BuildServerConfig(
    const FlagValues& flags, const Surroundings& surroundings) {
  ConfigReading reading = ReadServerConfig(flags, surroundings);
  if (reading.faults.empty()) return std::move(reading.config);
  return absl::InvalidArgumentError(absl::StrJoin(
      reading.faults, "\n", [](std::string* out, const ConfigFault& fault) {
        absl::StrAppend(out, fault.text);
      }));
}

}  // namespace heapsync
