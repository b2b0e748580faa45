#include "server/log/idle_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

namespace heapsync {
namespace {

constexpr std::chrono::seconds kInterval{5};
constexpr int64_t kWorthIt = 32 << 20;

// Bytes of resident memory of this process that are neither mapped files nor
// allocated.
int64_t UnusedBytes() {
  // proc(5): total, resident and file-backed pages.
  std::ifstream file("/proc/self/statm");
  int64_t whole = 0;
  int64_t resident = 0;
  int64_t shared = 0;
  if (!(file >> whole >> resident >> shared)) return 0;
  const struct mallinfo2 heaps = mallinfo2();
  return (resident - shared) * sysconf(_SC_PAGESIZE) -
         static_cast<int64_t>(heaps.uordblks + heaps.hblkhd);
}

}  // namespace

void IdleMemory::Tick(MonotonicTime now) {
  if (checked_at_.has_value() && now - *checked_at_ < kInterval) return;
  checked_at_ = now;
  const int64_t before = unused_;
  unused_ = UnusedBytes();
  kept_ = std::min(kept_, unused_);
  // The minimum of two checks approximates the memory that was unused in
  // between.
  if (std::min(before, unused_) < kept_ + kWorthIt) return;
  malloc_trim(0);
  unused_ = kept_ = UnusedBytes();
}

}  // namespace heapsync
