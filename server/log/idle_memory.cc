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

// Memory of this process that holds neither a file's content nor anything that
// was allocated and not freed, in bytes.
int64_t UnusedBytes() {
  // proc(5): pages of the whole, resident, shared with files.
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
  if (looked_at_.has_value() && now - *looked_at_ < kInterval) return;
  looked_at_ = now;
  const int64_t before = unused_;
  unused_ = UnusedBytes();
  kept_ = std::min(kept_, unused_);
  // What was unused all the time, as far as two looks can tell.
  if (std::min(before, unused_) < kept_ + kWorthIt) return;
  malloc_trim(0);
  unused_ = kept_ = UnusedBytes();
}

}  // namespace heapsync
