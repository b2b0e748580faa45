#ifndef HEAPSYNC_BASE_PROMISE_H_
#define HEAPSYNC_BASE_PROMISE_H_

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"

namespace heapsync {
namespace promise_internal {

// Shared by both ends, either of which may still hold the mutex when the other
// is destroyed.
template <typename T>
class State {
 public:
  void End(std::optional<T> value) {
    MutexLock lock(mutex_);
    value_ = std::move(value);
    over_ = true;
    ended_.NotifyAll();
  }
  std::optional<T> Wait() {
    MutexLock lock(mutex_);
    while (!over_) ended_.Wait(mutex_);
    return std::exchange(value_, std::nullopt);
  }
  std::optional<T> WaitFor(std::chrono::nanoseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    MutexLock lock(mutex_);
    while (!over_) {
      const auto rest = deadline - std::chrono::steady_clock::now();
      if (rest <= std::chrono::nanoseconds::zero()) return std::nullopt;
      ended_.WaitFor(mutex_, rest);
    }
    return std::exchange(value_, std::nullopt);
  }

 private:
  Mutex mutex_;
  CondVar ended_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promise_internal

// The receiving end of a Promise. One thread at a time; it may outlive the
// promise.
template <typename T>
class Future {
 public:
  // Waits for the value and takes it. None if the promise was destroyed without
  // one, or the value was taken already.
  std::optional<T> Wait() { return state_->Wait(); }
  // The same, and none if `timeout` passes first; another wait may follow.
  std::optional<T> WaitFor(std::chrono::nanoseconds timeout) {
    return state_->WaitFor(timeout);
  }

 private:
  template <typename>
  friend class Promise;
  explicit Future(std::shared_ptr<promise_internal::State<T>> state)
      : state_(std::move(state)) {}

  std::shared_ptr<promise_internal::State<T>> state_;
};

// A value that one thread computes and another waits for, as a callback that
// may never be called: destroying the promise ends the wait. Move it into the
// callback. Unlike std::promise it throws nothing.
template <typename T>
class Promise {
 public:
  Promise() : state_(std::make_shared<promise_internal::State<T>>()) {}
  Promise(Promise&&) noexcept = default;
  Promise& operator=(Promise&&) = delete;
  ~Promise() {
    if (state_ != nullptr) state_->End(std::nullopt);
  }

  // REQUIRES: Set() was not called.
  Future<T> future() const {
    HEAPSYNC_CHECK(state_ != nullptr) << "the promise is kept already";
    return Future<T>(state_);
  }
  // Wakes the thread that waits. REQUIRES: called at most once.
  void Set(T value) {
    HEAPSYNC_CHECK(state_ != nullptr) << "the promise is kept already";
    std::exchange(state_, nullptr)->End(std::move(value));
  }

 private:
  std::shared_ptr<promise_internal::State<T>> state_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_PROMISE_H_
