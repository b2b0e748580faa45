#ifndef HEAPSYNC_HEAP_ADAPTER_BASE_CLOCK_H_
#define HEAPSYNC_HEAP_ADAPTER_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace heapsync {

using Duration = std::chrono::microseconds;

// Civil time (UTC). It may jump in either direction, so it stamps items and
// records but never measures a wait.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Time that only goes forward. Means something only to processes that have the
// same Clock::Epoch().
using MonotonicTime =
    std::chrono::time_point<std::chrono::steady_clock, Duration>;

// One moment on both clocks.
struct Now {
  WallTime wall;
  MonotonicTime monotonic;
};

// The process's source of time. Decisions never call it: they take `Now` as an
// argument. All methods may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now Read() const = 0;
  // Names the moment at which monotonic time began, such as the machine's
  // start. The same number again: monotonic times may be compared with those of
  // an earlier process.
  virtual uint64_t Epoch() const = 0;
};

// The machine's clocks. Lives as long as the process.
const Clock& SystemClock();

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_BASE_CLOCK_H_
