#ifndef HEAPSYNC_BASE_CLOCK_H_
#define HEAPSYNC_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace heapsync {

using Duration = std::chrono::microseconds;

// Civil time (UTC). It may jump in either direction, so it is used for
// timestamps of items and records, never to measure a wait.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Time that never goes backwards. Comparable only between processes with the
// same Clock::Epoch().
using MonotonicTime =
    std::chrono::time_point<std::chrono::steady_clock, Duration>;

// One point in time on both clocks.
struct Now {
  WallTime wall;
  MonotonicTime monotonic;
};

// The process's source of time. Decisions never call it; they take `Now` as an
// argument. All methods may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now Read() const = 0;
  // Identifies the start of monotonic time, such as the boot of the machine. If
  // an earlier process had the same number, its monotonic times are comparable.
  virtual uint64_t Epoch() const = 0;
};

// The system's clocks. Never destroyed.
const Clock& SystemClock();

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_CLOCK_H_
