#include "base/boot_time.h"

#include <ctime>

namespace heapsync {

std::chrono::nanoseconds TimeSinceBoot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace heapsync
