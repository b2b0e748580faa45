#ifndef HEAPSYNC_SERVER_CONFIG_RESTART_SETTINGS_H_
#define HEAPSYNC_SERVER_CONFIG_RESTART_SETTINGS_H_

#include <string>
#include <vector>

#include "server/config/server_config.h"

namespace heapsync {

// The settings, by the names of their flags, that differ between the two
// configurations and that a running server cannot change: everything but
// destinations, callers, certificates and what else is read from files on a
// reload.
std::vector<std::string> SettingsThatNeedRestart(const ServerConfig& running,
                                                 const ServerConfig& wanted);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_RESTART_SETTINGS_H_
