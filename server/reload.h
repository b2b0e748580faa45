#ifndef HEAPSYNC_SERVER_RELOAD_H_
#define HEAPSYNC_SERVER_RELOAD_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "heap_adapter/engine.h"
#include "server/access/access.h"
#include "server/config/server_config.h"
#include "server/net/tls_credentials.h"

namespace heapsync {

// Tells when one of some files was written or exchanged. A file behind a
// symbolic link counts, so that mounted secrets work. Not thread-safe.
class FileWatch {
 public:
  explicit FileWatch(const std::vector<std::string>& paths);

  // True if something changed since the last call.
  bool Changed();

 private:
  struct Seen {
    std::string path;
    // All zero for a file that is not there.
    ino_t inode = 0;
    off_t size = 0;
    int64_t modified_ns = 0;
    bool operator==(const Seen&) const = default;
  };
  static Seen Look(const std::string& path);

  std::vector<Seen> seen_;
};

// Reads the configuration again, from the same flags, and puts into force what
// can change while the server runs: destinations, callers and certificates. All
// or nothing: with one fault in any file everything stays as it was, and every
// fault is logged. A change that needs a restart is logged and has no effect.
// Not thread-safe.
class Reload {
 public:
  // `certificates` is null without TLS. All must outlive this.
  Reload(const ServerConfig& config, Engine& engine, Access& access,
         TlsCertificates* certificates);

  // Looks at the files if it is time to. To be called every now and then.
  void Tick(MonotonicTime now);
  // Immediately.
  void Run(absl::string_view why);

 private:
  // The configuration of the start; destinations, callers and certificates
  // may have changed since.
  const ServerConfig started_;
  Engine& engine_;
  DestinationConfig destinations_;  // in force
  Access& access_;
  TlsCertificates* const certificates_;
  FileWatch files_;
  MonotonicTime looked_at_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_RELOAD_H_
