#ifndef HEAPSYNC_HEAP_ADAPTER_SHARING_COMMAND_SENDER_H_
#define HEAPSYNC_HEAP_ADAPTER_SHARING_COMMAND_SENDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// Asks the server that delivers a destination to change something there. Both
// know nothing of each other: the command is an entry of the shared spool, and
// so is its answer. The server that delivers by then obeys it; a change
// of the owner is a longer wait.
//
// Methods may be called from any thread unless they say otherwise.
class CommandSender {
 public:
  // Commands that may wait for their answers.
  static constexpr size_t kMaxCommands = 2'000;
  // Interval at which a command that waits is told to be wanted still.
  static constexpr Duration kBeat = std::chrono::seconds(20);

  // `spool` and `committer` must outlive this. `stored` is called, on a thread
  // of the committer's, when a command was stored.
  CommandSender(const Spool& spool, Committer& committer,
                std::function<void()> stored);

  // The time for which a command waits.
  struct Wait {
    // None: as long as `listener` lives.
    std::optional<MonotonicTime> until;
    std::optional<std::weak_ptr<const void>> listener;  // none: always
  };
  // The body of the answer, or why there is none: kDeadlineExceeded if nobody
  // answered in time, and whether the command is obeyed is unknown then. Called
  // once, from the thread of Look() or Stop(), or from one of the committer's;
  // it must not block. Destroyed without a call once its listener is gone.
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;
  void Send(CommandRecord command, Wait wait, Done done);

  bool empty() const;

  // Looks for answers once, in one request for all commands. One thread.
  void Look(MonotonicTime now);

  // Nobody waits any more: `done` of each command gets kUnavailable. Later ones
  // get it at once.
  void Stop();

 private:
  struct Open {
    CommandRecord command;
    Wait wait;
    Done done;
    std::optional<MonotonicTime> next_beat;  // none before the first look
  };
  using Ended = std::vector<std::pair<Done, absl::StatusOr<std::string>>>;

  void Fail(CommandId id, const absl::Status& status);

  const Spool& spool_;
  Committer& committer_;
  const std::function<void()> stored_;
  mutable Mutex mutex_;
  std::mt19937_64 ids_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<CommandId, Open> open_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SHARING_COMMAND_SENDER_H_
