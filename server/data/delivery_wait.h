#ifndef HEAPSYNC_SERVER_DATA_DELIVERY_WAIT_H_
#define HEAPSYNC_SERVER_DATA_DELIVERY_WAIT_H_

#include <grpcpp/alarm.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "base/mutex.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/stream/open_streams.h"

namespace heapsync {

// Waits for the end of a delivery on behalf of one call, but not past the
// call's deadline or cancellation: whichever comes first gives the answer,
// once. Shared by the call, the timer and the engine, since each may be the
// last to know it.
class DeliveryWait final : public EndableStream,
                           public std::enable_shared_from_this<DeliveryWait> {
 public:
  // `answer` is called at most once, by the first End(); with nothing if the
  // call's time is over.
  using Answer = absl::AnyInvocable<void(std::optional<Settlement>)>;
  explicit DeliveryWait(Answer answer) : answer_(std::move(answer)) {}

  // From now on the time may end the wait: at `deadline` (max(): never) or at a
  // cancellation, which may have come already. Once. The call may be gone when
  // this returns, so its thread must not touch it afterwards.
  void Begin(std::chrono::system_clock::time_point deadline) {
    {
      MutexLock lock(mutex_);
      begun_ = true;
      if (!answer_) return;
      if (!cancelled_) {
        if (deadline == std::chrono::system_clock::time_point::max()) return;
        // Weak: the alarm keeps its function until it is destroyed itself,
        // which a shared one would never let happen.
        alarm_.Set(deadline, [weak = weak_from_this()](bool) {
          if (const auto self = weak.lock()) self->End(std::nullopt);
        });
        return;
      }
    }
    End(std::nullopt);
  }

  // Nobody listens any more. Before Begin() it is only noted: what is not
  // durable yet must first become so.
  void Cancel() {
    {
      MutexLock lock(mutex_);
      cancelled_ = true;
      if (!begun_) return;
    }
    End(std::nullopt);
  }

  // The server stops: the answer tells what is reached so far.
  void End() override { Cancel(); }

  void End(std::optional<Settlement> settlement) {
    Answer answer;
    {
      MutexLock lock(mutex_);
      answer = std::exchange(answer_, nullptr);
      if (!answer) return;
      alarm_.Cancel();
    }
    answer(settlement);
  }

 private:
  grpc::Alarm alarm_;
  Mutex mutex_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_DELIVERY_WAIT_H_
