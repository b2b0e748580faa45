#ifndef HEAPSYNC_BASE_BOOT_TIME_H_
#define HEAPSYNC_BASE_BOOT_TIME_H_

#include <chrono>
#include <functional>

namespace heapsync {

// Time since the machine started, sleep included: who was suspended has to
// notice. Any thread.
std::chrono::nanoseconds TimeSinceBoot();

// TimeSinceBoot(), or what a test drives in its place.
using BootClock = std::function<std::chrono::nanoseconds()>;

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_BOOT_TIME_H_
