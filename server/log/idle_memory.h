#ifndef HEAPSYNC_SERVER_LOG_IDLE_MEMORY_H_
#define HEAPSYNC_SERVER_LOG_IDLE_MEMORY_H_

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace heapsync {

// Returns memory to the system that was freed after a burst and has not been
// used since. glibc keeps most memory that is freed below the top of its heaps
// (malloc_trim(3)), so a single burst would occupy it until the next start. One
// thread.
class IdleMemory {
 public:
  // Must be called regularly; checks every few seconds. Returning 500 MiB takes
  // about 50 ms, during which some allocations of other threads wait.
  void Tick(MonotonicTime now);

 private:
  std::optional<MonotonicTime> checked_at_;
  int64_t unused_ = 0;  // bytes, at the last check
  // Bytes that could not be returned, because they are in pages in use.
  int64_t kept_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_IDLE_MEMORY_H_
