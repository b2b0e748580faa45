#ifndef HEAPSYNC_HEAP_ADAPTER_SHARING_SHARING_H_
#define HEAPSYNC_HEAP_ADAPTER_SHARING_SHARING_H_

#include <memory>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/intake/committer.h"
#include "heap_adapter/sharing/command_runner.h"
#include "heap_adapter/sharing/command_sender.h"
#include "heap_adapter/sharing/settlement_watch.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// The work of servers of a shared spool for each other's callers. It has up to
// two threads: one, from the first question on, looks for what was asked of
// other servers, and only while callers wait; the other one obeys what others
// ask of this one. Methods may be called from any thread unless they say
// otherwise.
class Sharing {
 public:
  // Interval at which the store is asked while callers wait. Longer: fewer
  // requests to it, later answers.
  static constexpr Duration kPoll = std::chrono::milliseconds(50);

  // Everything given by reference must outlive this.
  Sharing(const Spool& spool, Committer& committer, const Clock& clock);
  ~Sharing() { Stop(); }

  // See SettlementWatch.
  bool HasRoom() const { return watch_.HasRoom(); }
  void Wait(LaneId lane, SeqRange items, SettledCallback callback);

  // See CommandSender.
  void Send(CommandRecord command, CommandSender::Wait wait,
            CommandSender::Done done);

  // From now on commands of others are obeyed, by a thread that calls `obey`.
  // Not at the same time as Stop(). Later calls have no effect.
  void Obey(CommandRunner::Owns owns, CommandRunner::Obey obey);
  // There may be commands.
  void LookForCommands();

  // To be called once nothing is owned any more: no command is being obeyed
  // when this returns, and those that were begun are forgotten.
  void Rest();

  // Nobody is asked any more; see CommandSender::Stop().
  void StopAsking();
  // Ends the threads. By the thread of the destructor.
  void Stop();
  // After Stop(): those that wait hear that they are abandoned, and later ones
  // at once.
  void Abandon() { watch_.Abandon(); }

 private:
  // To be called when a caller waits.
  void StartLooking();
  void RunLooks();
  void RunCommands();

  const Spool& spool_;
  Committer& committer_;
  const Clock& clock_;
  SettlementWatch watch_;
  CommandSender sender_;
  std::optional<CommandRunner> runner_;  // of its thread

  Mutex mutex_;
  CondVar asked_;
  CondVar commanded_;
  CondVar stopped_;
  CondVar rested_;
  bool look_ ABSL_GUARDED_BY(mutex_) = true;
  bool obeying_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread looks_;  // not started once `stopping_`
  std::thread commands_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SHARING_SHARING_H_
