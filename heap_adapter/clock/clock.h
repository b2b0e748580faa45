#ifndef HEAPSYNC_HEAP_ADAPTER_CLOCK_CLOCK_H_
#define HEAPSYNC_HEAP_ADAPTER_CLOCK_CLOCK_H_

#include <chrono>

namespace heapsync {

using Duration = std::chrono::microseconds;

// Civil time (UTC). It may jump in either direction, so it stamps items and
// records but never measures a wait.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Time that only goes forward. Meaningless outside this process.
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
};

// The machine's clocks. Lives as long as the process.
const Clock& SystemClock();

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CLOCK_CLOCK_H_
