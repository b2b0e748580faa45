#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_DISK_SPACE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_DISK_SPACE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>

#include "base/clock.h"

namespace heapsync {

// Monitors the free space of the file system of one folder. All methods may be
// called from any thread; the system is queried at most every 200 ms.
class DiskSpace {
 public:
  // `path` empty: never nearly full.
  DiskSpace(std::string path, uint64_t min_free_bytes);

  // True if less than the minimum is free for processes that are not root.
  bool NearlyFull() const;
  // True if less than three quarters of the minimum are free. A compaction,
  // which reclaims space, may then find too little for itself, so no space may
  // be used for anything that can wait.
  bool Short() const;

 private:
  uint64_t FreeBytes() const;

  const std::string path_;
  const uint64_t min_free_bytes_;
  mutable std::atomic<MonotonicTime> next_check_{MonotonicTime()};
  mutable std::atomic<uint64_t> free_bytes_{
      std::numeric_limits<uint64_t>::max()};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_DISK_SPACE_H_
