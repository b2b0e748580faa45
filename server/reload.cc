#include "server/reload.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/command_line.h"
#include "server/config/settings.h"
#include "server/log/log.h"

namespace heapsync {

FileWatch::FileWatch(const std::vector<std::string>& paths) {
  seen_.reserve(paths.size());
  for (const std::string& path : paths) seen_.push_back(Look(path));
}

FileWatch::Seen FileWatch::Look(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return {.path = path};
  return {.path = path,
          .inode = found.st_ino,
          .size = found.st_size,
          .modified_ns = int64_t{found.st_mtim.tv_sec} * 1'000'000'000 +
                         found.st_mtim.tv_nsec};
}

bool FileWatch::Changed() {
  bool changed = false;
  for (Seen& seen : seen_) {
    Seen now = Look(seen.path);
    if (now == seen) continue;
    seen = std::move(now);
    changed = true;
  }
  return changed;
}

Reload::Reload(const ServerConfig& config, Engine& engine, Access& access,
               TlsCertificates* certificates)
    : started_(config),
      engine_(engine),
      destinations_(config.destinations),
      access_(access),
      certificates_(certificates),
      files_(config.files) {}

void Reload::Tick(MonotonicTime now) {
  const std::chrono::milliseconds interval = started_.reload_interval;
  if (interval == std::chrono::milliseconds::zero() ||
      now - looked_at_ < interval) {
    return;
  }
  looked_at_ = now;
  if (files_.Changed()) Run("a file changed");
}

void Reload::Run(absl::string_view why) {
  auto config = BuildServerConfig(started_.flags, ProcessSurroundings());
  if (!config.ok()) {
    for (const absl::string_view fault :
         absl::StrSplit(config.status().message(), '\n')) {
      Log(LogSeverity::kError,
          "the new configuration is refused and the old one stays",
          {{"why", why}, {"fault", fault}});
    }
    return;
  }
  if (config->destinations != destinations_) {
    const absl::Status set = engine_.SetDestinations(config->destinations);
    if (!set.ok()) {
      Log(LogSeverity::kError,
          "the new configuration is refused and the old one stays",
          {{"why", why}, {"fault", set.message()}});
      return;
    }
    destinations_ = config->destinations;
  }
  for (const std::string& setting :
       SettingsThatNeedRestart(started_, *config)) {
    Log(LogSeverity::kWarning, absl::StrCat("needs a restart: ", setting),
        {{"why", why}, {"setting", setting}});
  }
  if (config->access.has_value()) access_.SetRules(*std::move(config->access));
  if (certificates_ != nullptr && config->tls.has_value()) {
    certificates_->Set(*std::move(config->tls));
  }
  Log(LogSeverity::kInfo, "configuration reloaded",
      {{"why", why}, {"destinations", destinations_.destinations.size()}});
}

}  // namespace heapsync
