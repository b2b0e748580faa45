#ifndef HEAPSYNC_SERVER_LOG_IDLE_MEMORY_H_
#define HEAPSYNC_SERVER_LOG_IDLE_MEMORY_H_

#include <cstdint>
#include <optional>

#include "heap_adapter/base/clock.h"

namespace heapsync {

// Gives memory back to the system that a burst needed and nobody has used
// since. glibc keeps most of what is freed below the top of its heaps
// (malloc_trim(3)), so that one bad minute would be paid for until the next
// start. One thread.
class IdleMemory {
 public:
  // To be called every now and then; looks every few seconds. Giving back
  // 500 MiB takes some 50 ms, in which some allocations of other threads wait.
  void Tick(MonotonicTime now);

 private:
  std::optional<MonotonicTime> looked_at_;
  int64_t unused_ = 0;  // bytes, when it looked
  // Bytes that could not be given back: the rest of pages that are in use.
  int64_t kept_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_IDLE_MEMORY_H_
