#ifndef HEAPSYNC_TESTS_ENGINE_ONE_WAY_HEAP_H_
#define HEAPSYNC_TESTS_ENGINE_ONE_WAY_HEAP_H_

#include <utility>
#include <vector>

#include "base/mutex.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// Heap that answers every request in one way, or not yet. Any thread may change
// the way.
class OneWayHeap final : public Transport {
 public:
  enum class Way { kTakes, kRefuses, kHangs };
  explicit OneWayHeap(Way way = Way::kTakes) : way_(way) {}

  void Go(Way way) {
    MutexLock lock(mutex_);
    way_ = way;
    changed_.NotifyAll();
  }
  int requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }
  void WaitForRequests(int count) {
    MutexLock lock(mutex_);
    while (requests_ < count) changed_.Wait(mutex_);
  }

  void WaitForWakes(int count) {
    MutexLock lock(mutex_);
    while (wakes_ < count) changed_.Wait(mutex_);
  }

  void Send(HeapRequest request) override {
    MutexLock lock(mutex_);
    ++requests_;
    waiting_.push_back(request.id);
    changed_.NotifyAll();
  }
  std::vector<HeapResponse> Wait(Duration timeout) override {
    MutexLock lock(mutex_);
    if (!woken_ && !HasAnswers()) changed_.WaitFor(mutex_, timeout);
    woken_ = false;
    std::vector<HeapResponse> answers;
    if (!HasAnswers()) return answers;
    for (const uint64_t id : std::exchange(waiting_, {})) {
      answers.push_back(
          {.request_id = id,
           .result = HttpResponse{.status = way_ == Way::kTakes ? 200 : 400,
                                  .retry_after = std::nullopt,
                                  .body = "{}"}});
    }
    return answers;
  }
  void Wake() override {
    MutexLock lock(mutex_);
    woken_ = true;
    ++wakes_;
    changed_.NotifyAll();
  }

 private:
  bool HasAnswers() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return way_ != Way::kHangs && !waiting_.empty();
  }

  mutable Mutex mutex_;
  CondVar changed_;
  Way way_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<uint64_t> waiting_ ABSL_GUARDED_BY(mutex_);
  int requests_ ABSL_GUARDED_BY(mutex_) = 0;
  int wakes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_ENGINE_ONE_WAY_HEAP_H_
