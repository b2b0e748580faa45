#ifndef HEAPSYNC_SERVER_CONFIG_SETTINGS_H_
#define HEAPSYNC_SERVER_CONFIG_SETTINGS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/config/server_config.h"

namespace heapsync {

// The effect of a new value when the configuration is reloaded.
enum class OnReload {
  kApplied,          // the value, or the contents of the file that it names
  kContentsApplied,  // the file's contents, but not whether there is a file
  kNeedsRestart,
};

// A setting of the server: one row yields the flag, the environment variable,
// the check, the help text, the row of docs/configuration.md, and the answer
// whether a change needs a restart. To add a setting, add a member to
// ServerConfig and a row to settings.cc.
struct Setting {
  std::string name;  // as its flag is called, without dashes
  std::string group;
  std::string values;   // the values that are accepted, for people
  std::string meaning;  // sentences for help and documentation
  OnReload on_reload = OnReload::kNeedsRestart;
  // The flag may stand without a value, which means true.
  bool is_switch = false;

  // The value in a configuration as text, for comparing; it may be a secret.
  // That of a default ServerConfig is the default, for help and documentation;
  // empty: none.
  std::function<std::string(const ServerConfig&)> text;

  // Stores a value, or says what is wrong with it (kInvalidArgument, without
  // the value). Rows are applied in the order of the table, after the
  // destinations have been read. Null: BuildServerConfig() reads this one
  // together with others.
  std::function<absl::Status(ServerConfig&, const std::string& value)> set;
};

// All settings, those of one group behind each other. Lives as long as the
// process.
const std::vector<Setting>& Settings();

// "HEAPSYNC_HTTP_LISTEN" for "http_listen".
std::string EnvironmentVariable(absl::string_view setting);

// The names of the settings in which `wanted` differs from `running` and that
// count from the next start only, in the order of the table.
std::vector<std::string> SettingsThatNeedRestart(const ServerConfig& running,
                                                 const ServerConfig& wanted);

// The text of docs/configuration.md: every setting and every key of the
// configuration file.
std::string ConfigurationPage();

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_SETTINGS_H_
