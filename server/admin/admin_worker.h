#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_

#include <cstddef>
#include <deque>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "heap_adapter/base/mutex.h"

namespace heapsync {

// Does what admin calls ask for, one after the other on a thread of its own:
// they read the disk, for which no gRPC thread may wait, and that there is one
// thread keeps two of them from changing the same thing.
class AdminWorker {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Beyond `max_waiting` tasks Submit refuses.
  explicit AdminWorker(size_t max_waiting);
  ~AdminWorker() { Stop(); }

  // False: too much waits, or Stop() was called; `task` never runs. Any thread.
  bool Submit(Task task);

  // Finishes what waits, takes no more, and ends the thread. Not from a task.
  void Stop();

 private:
  void Run();

  const size_t max_waiting_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_
