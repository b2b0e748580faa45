#ifndef HEAPSYNC_HEAP_ADAPTER_SHARING_COMMAND_RUNNER_H_
#define HEAPSYNC_HEAP_ADAPTER_SHARING_COMMAND_RUNNER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// Obeys the commands in a shared spool, see CommandSender, on the server that
// delivers. Answers are written by this server alone, in its fenced commits,
// and one that has an answer is no longer obeyed. One that has none may
// have been obeyed by an earlier owner, so each must be such that doing it
// again changes nothing.
//
// One thread, but for the answers.
class CommandRunner {
 public:
  // Commands that run at the same time; the others wait. Flushes cost the
  // dispatcher a little with every item that ends.
  static constexpr size_t kMaxRunning = 1'000;
  // A command that was not said to be wanted for so long is deleted: its server
  // is gone. Several times CommandSender::kBeat.
  static constexpr Duration kForget = std::chrono::seconds(70);

  // Answers a command; `along` is stored with the answer. Any thread; at most
  // once. One that is destroyed without a call leaves the command to the next
  // owner.
  using Answer =
      absl::AnyInvocable<void(CommandAnswer answer, SpoolChange along)>;
  // Obeys a command. It may take some time, but not wait for Heap: `answer` may
  // be called later. `wanted` expires once nobody waits any more.
  using Obey =
      std::function<void(const StoredCommand& command,
                         std::weak_ptr<const void> wanted, Answer answer)>;
  // True if this server delivers a destination; empty: all.
  using Owns = std::function<bool(absl::string_view destination)>;

  // `spool` and `committer` must outlive this and all answers.
  CommandRunner(const Spool& spool, Committer& committer, Owns owns, Obey obey);

  // Looks for commands once, in one request. Errors: those of reading.
  absl::Status Look(MonotonicTime now);

  // Commands that run, or were answered and not yet taken back.
  size_t size() const { return known_.size(); }

 private:
  struct Known {
    uint64_t beat = 0;
    MonotonicTime beat_at;
    // Null: it waits, or was answered before this server owned the spool.
    std::shared_ptr<const void> wanted;
  };

  const Spool& spool_;
  Committer& committer_;
  const Owns owns_;
  const Obey obey_;
  absl::flat_hash_map<CommandId, Known> known_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SHARING_COMMAND_RUNNER_H_
