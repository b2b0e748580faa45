#include "heap_adapter/spool/disk_space.h"

#include <chrono>
#include <limits>
#include <utility>

#include "base/file_system_space.h"

namespace heapsync {

DiskSpace::DiskSpace(std::string path, uint64_t min_free_bytes)
    : path_(std::move(path)), min_free_bytes_(min_free_bytes) {}

bool DiskSpace::NearlyFull() const { return FreeBytes() < min_free_bytes_; }

bool DiskSpace::Short() const { return FreeBytes() < min_free_bytes_ / 4 * 3; }

uint64_t DiskSpace::FreeBytes() const {
  if (path_.empty()) return std::numeric_limits<uint64_t>::max();
  constexpr Duration kInterval = std::chrono::milliseconds(200);
  const MonotonicTime now = SystemClock().Read().monotonic;
  MonotonicTime next = next_check_.load(std::memory_order_relaxed);
  if (now >= next && next_check_.compare_exchange_strong(
                         next, now + kInterval, std::memory_order_relaxed)) {
    if (const auto space = ReadFileSystemSpace(path_); space.has_value()) {
      free_bytes_.store(space->free_bytes, std::memory_order_relaxed);
    }
  }
  return free_bytes_.load(std::memory_order_relaxed);
}

}  // namespace heapsync
