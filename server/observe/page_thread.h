#ifndef HEAPSYNC_SERVER_OBSERVE_PAGE_THREAD_H_
#define HEAPSYNC_SERVER_OBSERVE_PAGE_THREAD_H_

#include <deque>
#include <functional>
#include <thread>

#include "base/mutex.h"

namespace heapsync {

// A thread that runs tasks one after another, in their order.
class PageThread {
 public:
  PageThread() : thread_([this] { Loop(); }) {}
  // Waits until all tasks have run.
  ~PageThread();

  PageThread(const PageThread&) = delete;
  PageThread& operator=(const PageThread&) = delete;

  // Any thread; not after the destructor began.
  void Run(std::function<void()> task);

 private:
  void Loop();

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses the others
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_PAGE_THREAD_H_
