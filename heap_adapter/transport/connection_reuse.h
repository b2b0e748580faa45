#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CONNECTION_REUSE_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CONNECTION_REUSE_H_

#include <chrono>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace heapsync {

// Decides which open connections a request may use, so that a dead one, which
// looks idle, costs one time-out: after it, every connection to that host that
// is older is suspect. Whole seconds, as libcurl counts them. One thread.
class ConnectionReuse {
 public:
  // REQUIRES: max_age >= 1 s.
  explicit ConnectionReuse(std::chrono::seconds max_age) : max_age_(max_age) {}

  // A request to `url` was sent and timed out.
  void OnTimeout(absl::string_view url, MonotonicTime now);

  // Maximum age of a connection for a request to `url` that is sent now. Zero:
  // it needs a new one.
  std::chrono::seconds MaxAge(absl::string_view url, MonotonicTime now) const;

 private:
  const std::chrono::seconds max_age_;
  // By scheme, host and port. There are as many as Heap has regions.
  absl::flat_hash_map<std::string, MonotonicTime> last_timeouts_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CONNECTION_REUSE_H_
