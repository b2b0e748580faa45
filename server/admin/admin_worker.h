#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/mutex.h"
#include "base/round_robin_queue.h"

namespace heapsync {

// Ends the wait of a task. Any thread, once; destroyed without a call, it ends
// the wait as well.
class Resume {
 public:
  explicit Resume(absl::AnyInvocable<void()> resume)
      : resume_(std::move(resume)) {}
  Resume(Resume&& other) noexcept
      : resume_(std::exchange(other.resume_, nullptr)) {}
  Resume& operator=(Resume&&) = delete;
  ~Resume() { (*this)(); }

  void operator()() {
    if (auto resume = std::exchange(resume_, nullptr)) resume();
  }

 private:
  absl::AnyInvocable<void()> resume_;
};

// The state of a task that had a turn.
struct TaskDone {};
struct TaskGoesOn {};
// It goes on once what `begin` is given was called. `begin` is called once, on
// the worker's thread, after the turn.
struct TaskWaits {
  absl::AnyInvocable<void(Resume)> begin;
};
using AfterTurn = std::variant<TaskDone, TaskGoesOn, TaskWaits>;

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

  // Finishes what waits, takes no more, and ends the thread. A task that waits
  // for something else goes on at once. Not from a task.
  void Stop();

 private:
  struct Waiting {
    std::string caller;
    Task task;
  };

  void Run();

  // Shared with those who may end a wait after this is gone.
  struct Queue {
    Mutex mutex;
    CondVar wake;
    RoundRobinQueue<std::string, Waiting> ready ABSL_GUARDED_BY(mutex);
    // Tasks that wait for something else.
    absl::flat_hash_map<uint64_t, Waiting> parked ABSL_GUARDED_BY(mutex);
    uint64_t next_parked ABSL_GUARDED_BY(mutex) = 0;
    // Tasks that are not done.
    absl::flat_hash_map<std::string, size_t> of_callers ABSL_GUARDED_BY(mutex);
    size_t of_all ABSL_GUARDED_BY(mutex) = 0;
    bool stopping ABSL_GUARDED_BY(mutex) = false;
  };

  void Park(Waiting waiting, TaskWaits waits);
  static void EndWait(Queue& queue, uint64_t parked);

  const Limits limits_;
  const std::shared_ptr<Queue> queue_;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_ADMIN_WORKER_H_
