#include "server/reload.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/certificate_times.h"
#include "server/config/settings.h"
#include "server/log/log.h"

namespace heapsync {
namespace {

constexpr std::chrono::hours kBetweenExpiryWarnings{12};
// Longer: there is more time for a new certificate, but those that are renewed
// automatically near their end are warned of in vain.
constexpr std::chrono::hours kWarnedBeforeExpiry{14 * 24};

void LogRefused(absl::string_view why, ConfigPart part,
                absl::string_view fault) {
  Log(LogSeverity::kError,
      absl::StrCat("the new configuration of the ", Name(part),
                   " is refused and the old one stays"),
      {{"why", why}, {"fault", fault}});
}

}  // namespace

Reload::Reload(const ServerConfig& config, Engines& engines, Access& access,
               TlsCertificates* certificates, Surroundings surroundings)
    : started_(config),
      surroundings_(std::move(surroundings)),
      engines_(engines),
      destinations_(config.destinations),
      access_(access),
      certificates_(certificates),
      files_(config.files) {}

void Reload::Tick(MonotonicTime now) {
  if (warned_at_ == MonotonicTime() ||
      now - warned_at_ >= kBetweenExpiryWarnings) {
    warned_at_ = now;
    WarnOfExpiries();
  }
  const std::chrono::milliseconds interval = started_.reload_interval;
  if (interval == std::chrono::milliseconds::zero() ||
      now - looked_at_ < interval) {
    return;
  }
  looked_at_ = now;
  if (files_.Changed()) Run("a file changed");
}

void Reload::Run(absl::string_view why) {
  ConfigReading reading = ReadServerConfig(started_.flags, surroundings_);
  ServerConfig& config = reading.config;
  std::vector<absl::string_view> reloaded;
  // Callers first: what follows may wait for the engine.
  if (reading.IsGood(ConfigPart::kCallers)) {
    if (config.access.has_value()) access_.SetRules(*config.access);
    reloaded.push_back(Name(ConfigPart::kCallers));
  }
  if (reading.IsGood(ConfigPart::kCertificates)) {
    if (certificates_ != nullptr && config.tls.has_value()) {
      certificates_->Set(*config.tls);
    }
    reloaded.push_back(Name(ConfigPart::kCertificates));
  }
  if (reading.IsGood(ConfigPart::kDestinations)) {
    const absl::Status set = SetDestinations(config.destinations);
    if (set.ok()) {
      reloaded.push_back(Name(ConfigPart::kDestinations));
    } else {
      reading.faults.push_back({.part = ConfigPart::kDestinations,
                                .text = std::string(set.message())});
    }
  }
  LogRestartSettings(why, reading);
  for (const ConfigFault& fault : reading.faults) {
    LogRefused(why, fault.part, fault.text);
  }
  Log(LogSeverity::kInfo,
      reading.faults.empty() ? "configuration reloaded"
                             : "configuration reloaded in part",
      {{"why", why},
       {"parts", absl::StrJoin(reloaded, ", ")},
       {"destinations", destinations_.destinations.size()}});
}

std::vector<CertificateExpiry> Reload::Expiries() const {
  const std::string& roots = started_.heap_way.extra_roots;
  if (certificates_ == nullptr) return ExpiriesOf(nullptr, roots);
  const TlsMaterial material = certificates_->Fetch().material;
  return ExpiriesOf(&material, roots);
}

void Reload::WarnOfExpiries() const {
  const auto now =
      std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  for (const CertificateExpiry& each : Expiries()) {
    if (each.not_after - now > kWarnedBeforeExpiry) continue;
    Log(LogSeverity::kWarning,
        each.not_after < now ? "a certificate has expired"
                             : "a certificate expires soon",
        {{"certificate", each.use}, {"expires", DateText(each.not_after)}});
  }
}

absl::Status Reload::SetDestinations(const DestinationConfig& destinations) {
  if (destinations == destinations_) return absl::OkStatus();
  absl::Status set = engines_.SetDestinations(destinations);
  if (set.ok()) destinations_ = destinations;
  return set;
}

// A part that was refused has not changed.
void Reload::LogRestartSettings(absl::string_view why,
                                const ConfigReading& reading) {
  if (!reading.IsGood(ConfigPart::kOther)) return;
  ServerConfig wanted = reading.config;
  if (!reading.IsGood(ConfigPart::kCallers)) wanted.access = started_.access;
  if (!reading.IsGood(ConfigPart::kCertificates)) {
    wanted.tls = started_.tls;
    wanted.client_certificates = started_.client_certificates;
  }
  for (const std::string& setting : SettingsThatNeedRestart(started_, wanted)) {
    Log(LogSeverity::kWarning, absl::StrCat("needs a restart: ", setting),
        {{"why", why}, {"setting", setting}});
  }
}

}  // namespace heapsync
