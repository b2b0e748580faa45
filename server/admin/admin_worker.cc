#include "server/admin/admin_worker.h"

#include <utility>

namespace heapsync {

AdminWorker::AdminWorker(size_t max_waiting)
    : max_waiting_(max_waiting), thread_([this] { Run(); }) {}

bool AdminWorker::Submit(Task task) {
  {
    MutexLock lock(mutex_);
    if (stopping_ || tasks_.size() >= max_waiting_) return false;
    tasks_.push_back(std::move(task));
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
    Task task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !stopping_) wake_.Wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace heapsync
