#include "heap_adapter/spool/disk_space.h"

#include <sys/statvfs.h>

#include <chrono>
#include <utility>

namespace heapsync {

DiskSpace::DiskSpace(std::string path, uint64_t min_free_bytes)
    : path_(std::move(path)), min_free_bytes_(min_free_bytes) {}

bool DiskSpace::NearlyFull() const {
  if (path_.empty()) return false;
  constexpr int64_t kInterval = 200'000'000;
  const int64_t now =
      std::chrono::steady_clock::now().time_since_epoch().count();
  int64_t next = next_look_ns_.load(std::memory_order_relaxed);
  if (now >= next && next_look_ns_.compare_exchange_strong(
                         next, now + kInterval, std::memory_order_relaxed)) {
    struct statvfs room {};
    if (statvfs(path_.c_str(), &room) == 0) {
      nearly_full_.store(static_cast<uint64_t>(room.f_bavail) * room.f_frsize <
                             min_free_bytes_,
                         std::memory_order_relaxed);
    }
  }
  return nearly_full_.load(std::memory_order_relaxed);
}

}  // namespace heapsync
