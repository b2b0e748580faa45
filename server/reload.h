#ifndef HEAPSYNC_SERVER_RELOAD_H_
#define HEAPSYNC_SERVER_RELOAD_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/engines.h"
#include "server/access/access.h"
#include "server/config/command_line.h"
#include "server/config/file_watch.h"
#include "server/config/server_config.h"
#include "server/net/tls_credentials.h"

namespace heapsync {

// Reads the configuration again, from the same flags, and puts into force what
// can change while the server runs: destinations, callers and certificates,
// each by itself. With a fault in one of them that one stays as it was, every
// fault is logged, and the others are put into force, so that revoking a token
// never waits for another file to be mended. A change that needs a restart is
// logged and has no effect. Not thread-safe.
class Reload {
 public:
  // `certificates` is null without TLS. All must outlive this. `surroundings`
  // are those that `config` was read from.
  Reload(const ServerConfig& config, Engines& engines, Access& access,
         TlsCertificates* certificates,
         Surroundings surroundings = ProcessSurroundings());

  // Looks at the files if it is time to. To be called every now and then.
  void Tick(MonotonicTime now);
  // Immediately.
  void Run(absl::string_view why);

  // When the certificates expire that are in use. Any thread.
  std::vector<CertificateExpiry> Expiries() const;

 private:
  // Waits for the dispatcher.
  absl::Status SetDestinations(const DestinationConfig& destinations);
  void WarnOfExpiries() const;
  void LogRestartSettings(absl::string_view why, const ConfigReading& reading);

  // The configuration of the start; destinations, callers and certificates
  // may have changed since.
  const ServerConfig started_;
  const Surroundings surroundings_;
  Engines& engines_;
  DestinationConfig destinations_;  // in force
  Access& access_;
  TlsCertificates* const certificates_;
  FileWatch files_;
  MonotonicTime looked_at_;
  MonotonicTime warned_at_;  // of certificates that expire soon
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_RELOAD_H_
