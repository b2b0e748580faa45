#include "heap_adapter/sharing/sharing.h"

#include <utility>

namespace heapsync {

Sharing::Sharing(const Spool& spool, Committer& committer, const Clock& clock)
    : spool_(spool),
      committer_(committer),
      clock_(clock),
      watch_(spool),
      sender_(spool, committer, [this] { LookForCommands(); }),
      looks_([this] { RunLooks(); }) {}

void Sharing::Wait(LaneId lane, SeqRange items, SettledCallback callback) {
  watch_.Wait(lane, items, std::move(callback));
  MutexLock lock(mutex_);
  asked_.NotifyOne();
}

void Sharing::Send(CommandRecord command, CommandSender::Wait wait,
                   CommandSender::Done done) {
  sender_.Send(std::move(command), std::move(wait), std::move(done));
  MutexLock lock(mutex_);
  asked_.NotifyOne();
}

void Sharing::Obey(CommandRunner::Owns owns, CommandRunner::Obey obey) {
  runner_.emplace(spool_, committer_, std::move(owns), std::move(obey));
  commands_ = std::thread([this] { RunCommands(); });
}

void Sharing::LookForCommands() {
  MutexLock lock(mutex_);
  look_ = true;
  commanded_.NotifyOne();
}

void Sharing::StopAsking() { sender_.Stop(); }

void Sharing::Stop() {
  sender_.Stop();
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    asked_.NotifyAll();
    commanded_.NotifyAll();
    stopped_.NotifyAll();
  }
  if (looks_.joinable()) looks_.join();
  if (commands_.joinable()) commands_.join();
}

void Sharing::RunLooks() {
  while (true) {
    {
      MutexLock lock(mutex_);
      while (!stopping_ && watch_.empty() && sender_.empty()) {
        asked_.Wait(mutex_);
      }
      // However many ask meanwhile.
      if (!stopping_) stopped_.WaitFor(mutex_, kPoll);
      if (stopping_) return;
    }
    const MonotonicTime now = clock_.Read().monotonic;
    if (!watch_.empty()) watch_.Look(now);
    if (!sender_.empty()) sender_.Look(now);
  }
}

void Sharing::RunCommands() {
  while (true) {
    {
      MutexLock lock(mutex_);
      while (!stopping_ && !look_) commanded_.Wait(mutex_);
      if (stopping_) return;
      look_ = false;
    }
    // Commands that cannot be read now are found by a later look.
    static_cast<void>(runner_->Look(clock_.Read().monotonic));
    MutexLock lock(mutex_);
    if (!stopping_) stopped_.WaitFor(mutex_, kPoll);
  }
}

}  // namespace heapsync
