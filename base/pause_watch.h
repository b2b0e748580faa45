#ifndef HEAPSYNC_BASE_PAUSE_WATCH_H_
#define HEAPSYNC_BASE_PAUSE_WATCH_H_

#include <chrono>
#include <thread>
#include <utility>

#include "base/boot_time.h"
#include "base/mutex.h"

namespace heapsync {

// Knows when this process did not run for a while: it was stopped, its machine
// slept, or was too busy. What callers did meanwhile is heard of some time
// after the pause only, so that work of before may not be wanted any more.
class PauseWatch {
 public:
  using Time = std::chrono::nanoseconds;  // of the clock

  // Shorter ones are not noticed. Shorter: a busy machine looks like a pause.
  static constexpr std::chrono::milliseconds kMinPause{1'000};
  // Time after a pause by which the process has heard of what came during it.
  static constexpr std::chrono::milliseconds kSettling{100};
  // Interval of Tick().
  static constexpr std::chrono::milliseconds kTick{100};

  explicit PauseWatch(BootClock clock = TimeSinceBoot)
      : clock_(std::move(clock)), last_tick_(clock_()) {}

  // To be called in intervals. Any thread, like the rest.
  void Tick();
  Time Now() const { return clock_(); }
  // True if what began at `time` began during, before or right after a pause. A
  // pause that has just ended is known before the next Tick().
  bool PausedSince(Time time) const;

 private:
  const BootClock clock_;
  mutable Mutex mutex_;
  Time last_tick_ ABSL_GUARDED_BY(mutex_);
  Time last_end_ ABSL_GUARDED_BY(mutex_) = -kSettling;
};

// Ticks as long as it lives.
class PauseWatchThread {
 public:
  // `watch` must outlive this.
  explicit PauseWatchThread(PauseWatch& watch);
  ~PauseWatchThread();

 private:
  void Run();

  PauseWatch& watch_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_PAUSE_WATCH_H_
