#include "server/data/message_workers.h"

#include <utility>

namespace heapsync {

MessageWorkers::MessageWorkers(const Limits& limits)
    : max_bytes_(limits.bytes) {
  for (size_t i = 0; i < limits.threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

MessageWorkers::~MessageWorkers() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

bool MessageWorkers::Submit(const std::string& caller, size_t bytes,
                            absl::AnyInvocable<void()>&& task) {
  {
    MutexLock lock(mutex_);
    if (bytes_ + bytes > max_bytes_) return false;
    bytes_ += bytes;
    waiting_.Add(caller, {.bytes = bytes, .task = std::move(task)});
  }
  wake_.NotifyOne();
  return true;
}

void MessageWorkers::Run() {
  while (true) {
    Waiting next;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) wake_.Wait(mutex_);
      if (waiting_.empty()) return;
      next = waiting_.Next();
    }
    next.task();
    next.task = nullptr;
    MutexLock lock(mutex_);
    bytes_ -= next.bytes;
  }
}

}  // namespace heapsync
