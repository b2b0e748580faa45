#include "base/pause_watch.h"

namespace heapsync {

void PauseWatch::Tick() {
  MutexLock lock(mutex_);
  const Time now = clock_();
  if (now - last_tick_ > kMinPause) last_end_ = now;
  last_tick_ = now;
}

bool PauseWatch::PausedSince(Time time) const {
  MutexLock lock(mutex_);
  const Time now = clock_();
  const Time end = now - last_tick_ > kMinPause ? now : last_end_;
  return time < end + kSettling;
}

PauseWatchThread::PauseWatchThread(PauseWatch& watch) : watch_(watch) {
  thread_ = std::thread([this] { Run(); });
}

PauseWatchThread::~PauseWatchThread() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
}

void PauseWatchThread::Run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    watch_.Tick();
    wake_.WaitFor(mutex_, PauseWatch::kTick);
  }
}

}  // namespace heapsync
