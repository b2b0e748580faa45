#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_

#include <cstddef>
#include <string>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "heap_adapter/base/mutex.h"
#include "heap_adapter/base/round_robin_queue.h"

namespace heapsync {

// The state of a task that had a turn.
enum class AfterTurn { kDone, kGoesOn };

// Does what admin calls ask for on a thread of its own: they read the disk, for
// which no gRPC thread may wait, and that there is one thread keeps two of them
// from changing the same thing. Callers take turns, and a long task has several
// of them, so that nobody waits for all that another asks.
class AdminWorker {
 public:
  // Does one turn of a task: some milliseconds of work.
  using Task = absl::AnyInvocable<AfterTurn()>;

  // Tasks that may wait or go on: of one caller, and of all.
  struct Limits {
    size_t per_caller = 20;
    size_t all = 200;
  };

  explicit AdminWorker(const Limits& limits);
  ~AdminWorker() { Stop(); }

  // False: too much waits, or Stop() was called; `task` never runs. Any thread.
  bool Submit(const std::string& caller, Task task);

  // Finishes what waits, takes no more, and ends the thread. Not from a task.
  void Stop();

 private:
  struct Waiting {
    std::string caller;
    Task task;
  };

  void Run();

  const Limits limits_;
  Mutex mutex_;
  CondVar wake_;
  RoundRobinQueue<std::string, Waiting> queue_ ABSL_GUARDED_BY(mutex_);
  // Tasks that are not done.
  absl::flat_hash_map<std::string, size_t> of_callers_ ABSL_GUARDED_BY(mutex_);
  size_t of_all_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_
