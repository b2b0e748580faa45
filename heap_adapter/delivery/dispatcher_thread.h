#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_THREAD_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_THREAD_H_

#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/delivery/dispatcher.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// The thread of a dispatcher, and what others hand to it: the committer's
// notices, and commands. One dispatcher may follow another. Any thread, unless
// stated otherwise.
class DispatcherThread {
 public:
  using Command = absl::AnyInvocable<void(Dispatcher&, Now)>;

  // All are called by the thread itself.
  struct Hooks {
    // At the begin of each turn.
    std::function<void()> turn;
    std::function<bool()> disk_short;
    // Once a second, while it sends, if it publishes.
    std::function<void()> publish;
    // Hears how long each step took; may be null.
    std::function<void(Duration)> step;
  };

  // Everything given by reference must outlive this.
  DispatcherThread(Transport& transport, const Clock& clock, Hooks hooks)
      : transport_(transport), clock_(clock), hooks_(std::move(hooks)) {}
  ~DispatcherThread() { Stop(); }

  // From now on notices and commands are kept, for a dispatcher that is to
  // come. By the thread of Run().
  void Open();
  // Takes Open() back: there is no dispatcher. Commands are destroyed without a
  // call. Returns the notices that were kept. By the thread of Run().
  std::vector<Committer::Notices> Close();
  // Starts the thread. `dispatcher` must live until Leave() or Stop() returns.
  void Run(Dispatcher& dispatcher, bool publishes);
  // Ends the thread once it has taken all that was meant for it. By the thread
  // of Run().
  void Leave();
  // Ends the thread; what is in flight is left. Nothing is taken any more.
  void Stop();

  // From now on no request begins; GoOn() takes it back. IsAtRest(): since
  // then, none is in flight any more.
  void Rest() { SetSends(false); }
  void GoOn() { SetSends(true); }
  bool IsAtRest() const;

  // False: there is no dispatcher, and `notices` are as they were. Does not
  // wake the thread.
  bool Notify(Committer::Notices& notices);
  // Runs `command` on the thread. Once it stops, it is destroyed without a
  // call. False: there is no dispatcher, and `command` is as it was.
  bool Post(Command& command);
  // Runs `question` on the thread and waits until it has. False: it never ran,
  // since there is no dispatcher, or it stops.
  bool Ask(absl::FunctionRef<void(Dispatcher&, Now)> question);
  bool stopping() const;

 private:
  void SetSends(bool sends);
  void Loop(Dispatcher& dispatcher, bool publishes);
  void Measure(absl::FunctionRef<void()> step) const;

  Transport& transport_;
  const Clock& clock_;
  const Hooks hooks_;
  MonotonicTime published_at_;  // the thread's

  mutable Mutex mutex_;
  // There is a dispatcher, or will be.
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool sends_ ABSL_GUARDED_BY(mutex_) = true;
  bool at_rest_ ABSL_GUARDED_BY(mutex_) = false;
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Committer::Notices> notices_ ABSL_GUARDED_BY(mutex_);
  std::vector<Command> commands_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DISPATCHER_THREAD_H_
