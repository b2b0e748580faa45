#include "heap_adapter/sharing/sharing.h"

#include <utility>

namespace heapsync {

Sharing::Sharing(const Spool& spool, Committer& committer, const Clock& clock)
    : spool_(spool),
      committer_(committer),
      clock_(clock),
      watch_(spool),
      sender_(spool, committer, [this] { LookForCommands(); }) {}

void Sharing::Wait(LaneId lane, SeqRange items, SettledCallback callback) {
  watch_.Wait(lane, items, std::move(callback));
  StartLooking();
}

void Sharing::Send(CommandRecord command, CommandSender::Wait wait,
                   CommandSender::Done done) {
  sender_.Send(std::move(command), std::move(wait), std::move(done));
  StartLooking();
}

void Sharing::Obey(CommandRunner::Owns owns, CommandRunner::Obey obey) {
  if (runner_.has_value()) return;
  runner_.emplace(spool_, committer_, std::move(owns), std::move(obey));
  commands_ = std::thread([this] { RunCommands(); });
}

void Sharing::LookForCommands() {
  MutexLock lock(mutex_);
  look_ = true;
  commanded_.NotifyOne();
}

void Sharing::Rest() {
  MutexLock lock(mutex_);
  look_ = true;
  commanded_.NotifyOne();
  while (!stopping_ && (look_ || obeying_)) rested_.Wait(mutex_);
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
    rested_.NotifyAll();
  }
  if (looks_.joinable()) looks_.join();
  if (commands_.joinable()) commands_.join();
}

// A server of many shards has one of this for each, and seldom needs all their
// threads.
void Sharing::StartLooking() {
  MutexLock lock(mutex_);
  if (stopping_) return;
  if (!looks_.joinable()) looks_ = std::thread([this] { RunLooks(); });
  asked_.NotifyOne();
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
      obeying_ = true;
    }
    // Commands that cannot be read now are found by a later look.
    static_cast<void>(runner_->Look(clock_.Read().monotonic));
    MutexLock lock(mutex_);
    obeying_ = false;
    rested_.NotifyAll();
    if (!stopping_) stopped_.WaitFor(mutex_, kPoll);
  }
}

}  // namespace heapsync
