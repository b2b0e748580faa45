#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_DISK_SPACE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_DISK_SPACE_H_

#include <atomic>
#include <cstdint>
#include <string>

namespace heapsync {

// Watches the room on the file system of one folder. All methods may be called
// from any thread; the system is asked at most every 200 ms.
class DiskSpace {
 public:
  // `path` empty: never nearly full.
  DiskSpace(std::string path, uint64_t min_free_bytes);

  // Less than the minimum is left for processes that are not root.
  bool NearlyFull() const;

 private:
  const std::string path_;
  const uint64_t min_free_bytes_;
  mutable std::atomic<int64_t> next_look_ns_{0};
  mutable std::atomic<bool> nearly_full_{false};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_DISK_SPACE_H_
