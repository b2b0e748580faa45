#ifndef HEAPSYNC_SERVER_DATA_MESSAGE_WORKERS_H_
#define HEAPSYNC_SERVER_DATA_MESSAGE_WORKERS_H_

#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/mutex.h"
#include "base/round_robin_queue.h"

namespace heapsync {

// Threads that take in large messages. One of 4 MiB may take a second, in which
// a thread of gRPC would keep the calls of all others waiting. Callers take
// turns.
class MessageWorkers {
 public:
  // Messages from this size on are large. Larger: longer waits on the threads
  // of gRPC. Smaller: more messages change threads, which costs some
  // microseconds.
  static constexpr size_t kLargeMessage = 256 << 10;

  struct Limits {
    size_t threads = 1;
    // Bytes of the messages that wait or are taken in. Larger: more memory.
    size_t bytes = 64 << 20;
  };

  explicit MessageWorkers(const Limits& limits);
  // Does what was submitted.
  ~MessageWorkers();

  MessageWorkers(const MessageWorkers&) = delete;
  MessageWorkers& operator=(const MessageWorkers&) = delete;

  // False: too many bytes wait, and `task` was not moved from. Otherwise it
  // runs once, on one of the threads. `bytes`: the size of the message. Any
  // thread.
  [[nodiscard]] bool Submit(const std::string& caller, size_t bytes,
                            absl::AnyInvocable<void()>&& task);

 private:
  struct Waiting {
    size_t bytes = 0;
    absl::AnyInvocable<void()> task;
  };

  void Run();

  const size_t max_bytes_;
  Mutex mutex_;
  CondVar wake_;
  RoundRobinQueue<std::string, Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_MESSAGE_WORKERS_H_
