#include "server/admin/admin_worker.h"

#include <optional>
#include <utility>
#include <vector>

namespace heapsync {

AdminWorker::AdminWorker(const Limits& limits)
    : limits_(limits),
      queue_(std::make_shared<Queue>()),
      thread_([this] { Run(); }) {}

bool AdminWorker::Submit(const std::string& caller, Task task) {
  {
    Queue& queue = *queue_;
    MutexLock lock(queue.mutex);
    if (queue.stopping || queue.of_all >= limits_.all) return false;
    size_t& of_caller = queue.of_callers[caller];
    if (of_caller >= limits_.per_caller) return false;
    ++of_caller;
    ++queue.of_all;
    queue.ready.Add(caller, {.caller = caller, .task = std::move(task)});
  }
  queue_->wake.NotifyOne();
  return true;
}

void AdminWorker::Stop() {
  std::vector<uint64_t> parked;
  {
    MutexLock lock(queue_->mutex);
    queue_->stopping = true;
    for (const auto& [id, waiting] : queue_->parked) parked.push_back(id);
  }
  for (const uint64_t id : parked) EndWait(*queue_, id);
  queue_->wake.NotifyOne();
  if (thread_.joinable()) thread_.join();
}

void AdminWorker::EndWait(Queue& queue, uint64_t parked) {
  {
    MutexLock lock(queue.mutex);
    const auto found = queue.parked.find(parked);
    if (found == queue.parked.end()) return;
    Waiting waiting = std::move(found->second);
    queue.parked.erase(found);
    const std::string caller = waiting.caller;
    queue.ready.Add(caller, std::move(waiting));
  }
  queue.wake.NotifyOne();
}

void AdminWorker::Park(Waiting waiting, TaskWaits waits) {
  uint64_t id = 0;
  bool stopping = false;
  {
    MutexLock lock(queue_->mutex);
    id = ++queue_->next_parked;
    queue_->parked.emplace(id, std::move(waiting));
    stopping = queue_->stopping;
  }
  waits.begin(Resume([weak = std::weak_ptr<Queue>(queue_), id] {
    if (const auto queue = weak.lock()) EndWait(*queue, id);
  }));
  if (stopping) EndWait(*queue_, id);
}

void AdminWorker::Run() {
  Queue& queue = *queue_;
  while (true) {
    std::optional<Waiting> next;
    {
      MutexLock lock(queue.mutex);
      while (queue.ready.empty() && !queue.stopping) {
        queue.wake.Wait(queue.mutex);
      }
      if (queue.ready.empty()) return;
      next = queue.ready.Next();
    }
    AfterTurn after = next->task();
    if (auto* waits = std::get_if<TaskWaits>(&after)) {
      Park(*std::move(next), std::move(*waits));
      continue;
    }
    const bool goes_on = std::holds_alternative<TaskGoesOn>(after);
    if (!goes_on) next->task = nullptr;
    MutexLock lock(queue.mutex);
    if (goes_on) {
      const std::string caller = next->caller;
      queue.ready.Add(caller, *std::move(next));
      continue;
    }
    const auto found = queue.of_callers.find(next->caller);
    if (--found->second == 0) queue.of_callers.erase(found);
    --queue.of_all;
  }
}

}  // namespace heapsync
