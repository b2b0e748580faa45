#include "server/admin/admin_worker.h"

#include <optional>
#include <utility>

namespace heapsync {

AdminWorker::AdminWorker(const Limits& limits)
    : limits_(limits), thread_([this] { Run(); }) {}

bool AdminWorker::Submit(const std::string& caller, Task task) {
  {
    MutexLock lock(mutex_);
    if (stopping_ || of_all_ >= limits_.all) return false;
    size_t& of_caller = of_callers_[caller];
    if (of_caller >= limits_.per_caller) return false;
    ++of_caller;
    ++of_all_;
    queue_.Add(caller, {.caller = caller, .task = std::move(task)});
  }
  wake_.NotifyOne();
  return true;
}

void AdminWorker::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  if (thread_.joinable()) thread_.join();
}

void AdminWorker::Run() {
  while (true) {
    std::optional<Waiting> next;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.Wait(mutex_);
      if (queue_.empty()) return;
      next = queue_.Next();
    }
    const AfterTurn after = next->task();
    if (after == AfterTurn::kDone) next->task = nullptr;
    MutexLock lock(mutex_);
    if (after == AfterTurn::kGoesOn) {
      const std::string caller = next->caller;
      queue_.Add(caller, *std::move(next));
      continue;
    }
    const auto found = of_callers_.find(next->caller);
    if (--found->second == 0) of_callers_.erase(found);
    --of_all_;
  }
}

}  // namespace heapsync
