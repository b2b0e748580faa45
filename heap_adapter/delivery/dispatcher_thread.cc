#include "heap_adapter/delivery/dispatcher_thread.h"

#include <algorithm>
#include <chrono>

#include "base/promise.h"

namespace heapsync {
namespace {

// Interval at which figures are published. Longer: less is written, and other
// servers notice later that a destination has too much.
constexpr Duration kPublishInterval = std::chrono::seconds(1);

}  // namespace

void DispatcherThread::Open() {
  MutexLock lock(mutex_);
  open_ = true;
  sends_ = true;
  at_rest_ = false;
  leaving_ = false;
}

std::vector<Committer::Notices> DispatcherThread::Close() {
  // Destroyed after the lock is released.
  std::vector<Command> commands;
  MutexLock lock(mutex_);
  open_ = false;
  commands = std::exchange(commands_, {});
  return std::exchange(notices_, {});
}

void DispatcherThread::Run(Dispatcher& dispatcher, bool publishes) {
  thread_ = std::thread(
      [this, &dispatcher, publishes] { Loop(dispatcher, publishes); });
}

void DispatcherThread::Leave() {
  {
    MutexLock lock(mutex_);
    leaving_ = true;
  }
  transport_.Wake();
  thread_.join();
}

void DispatcherThread::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  transport_.Wake();
  thread_.join();
}

void DispatcherThread::SetSends(bool sends) {
  MutexLock lock(mutex_);
  sends_ = sends;
  at_rest_ = false;
  // Under the lock: after Stop() the transport may be gone.
  if (!stopping_) transport_.Wake();
}

bool DispatcherThread::IsAtRest() const {
  MutexLock lock(mutex_);
  return at_rest_;
}

bool DispatcherThread::stopping() const {
  MutexLock lock(mutex_);
  return stopping_;
}

bool DispatcherThread::Notify(Committer::Notices& notices) {
  MutexLock lock(mutex_);
  if (!open_) return false;
  notices_.push_back(std::move(notices));
  return true;
}

bool DispatcherThread::Post(Command& command) {
  MutexLock lock(mutex_);
  if (stopping_) {
    command = nullptr;
    return true;
  }
  if (!open_) return false;
  commands_.push_back(std::move(command));
  // Under the lock: after Stop() the transport may be gone.
  transport_.Wake();
  return true;
}

bool DispatcherThread::Ask(absl::FunctionRef<void(Dispatcher&, Now)> question) {
  Promise<bool> ran;
  Future<bool> over = ran.future();
  Command command = [question, ran = std::move(ran)](Dispatcher& dispatcher,
                                                     Now now) mutable {
    question(dispatcher, now);
    ran.Set(true);
  };
  return Post(command) && over.Wait().has_value();
}

void DispatcherThread::Loop(Dispatcher& dispatcher, bool publishes) {
  while (true) {
    std::vector<Committer::Notices> notices;
    std::vector<Command> commands;
    bool sends = true;
    bool leaves = false;
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      notices = std::exchange(notices_, {});
      commands = std::exchange(commands_, {});
      sends = sends_;
      leaves = leaving_;
      if (!sends && dispatcher.in_flight() == 0) at_rest_ = true;
      if (leaving_ && notices.empty() && commands.empty()) {
        open_ = false;
        return;
      }
    }
    const Now now = clock_.Read();
    hooks_.turn();
    for (Committer::Notices& each : notices) {
      Measure([&] { dispatcher.OnNotices(std::move(each), now); });
    }
    for (Command& command : commands) {
      Measure([&] { command(dispatcher, now); });
    }
    dispatcher.SetDiskShort(hooks_.disk_short());
    if (publishes && sends &&
        now.monotonic - published_at_ >= kPublishInterval) {
      published_at_ = now.monotonic;
      Measure(hooks_.publish);
    }
    Duration idle = kPublishInterval;
    if (sends) Measure([&] { idle = dispatcher.Step(now); });
    // More may come all the time: what was taken is what there was.
    if (leaves) idle = Duration(0);
    if (publishes) idle = std::min(idle, kPublishInterval);
    const std::vector<HeapResponse> answers = transport_.Wait(idle);
    // The clock is read after the wait: a slot of a limit would be free before
    // its time otherwise.
    const Now answered = clock_.Read();
    for (const HeapResponse& answer : answers) {
      Measure([&] { dispatcher.OnResponse(answer, answered); });
    }
  }
}

void DispatcherThread::Measure(absl::FunctionRef<void()> step) const {
  if (!hooks_.step) return step();
  const MonotonicTime begin = clock_.Read().monotonic;
  step();
  hooks_.step(clock_.Read().monotonic - begin);
}

}  // namespace heapsync
