#include "heap_adapter/sharing/command_sender.h"

#include <utility>

namespace heapsync {
namespace {

absl::Status NobodyAnswered() {
  return absl::DeadlineExceededError(
      "the server that owns the spool has not answered in time, and may do "
      "still what it was asked");
}

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down");
}

}  // namespace

CommandSender::CommandSender(const Spool& spool, Committer& committer,
                             std::function<void()> stored)
    : spool_(spool),
      committer_(committer),
      stored_(std::move(stored)),
      ids_(std::random_device()()) {
  // One number of 32 bits would not do.
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  ids_.seed(seed);
}

void CommandSender::Send(CommandRecord command, Wait wait, Done done) {
  SpoolChange change;
  absl::Status refused;
  CommandId id = 0;
  {
    MutexLock lock(mutex_);
    if (stopped_) {
      refused = ShuttingDown();
    } else if (open_.size() >= kMaxCommands) {
      refused = absl::ResourceExhaustedError(
          "too many calls wait for the server that owns the spool");
    } else {
      while (id == 0 || open_.contains(id)) id = ids_();
      change.PutCommand(id, command);
      open_.emplace(id, Open{.command = std::move(command),
                             .wait = std::move(wait),
                             .done = std::move(done),
                             .next_beat = std::nullopt});
    }
  }
  if (!refused.ok()) return done(refused);
  const absl::Status queued = committer_.Change(
      std::move(change), [this, id](const absl::Status& status) {
        if (!status.ok()) return Fail(id, status);
        if (stored_) stored_();
      });
  if (!queued.ok()) Fail(id, queued);
}

void CommandSender::Fail(CommandId id, const absl::Status& status) {
  Done done;
  {
    MutexLock lock(mutex_);
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    done = std::move(found->second.done);
    open_.erase(found);
  }
  done(status);
}

bool CommandSender::empty() const {
  MutexLock lock(mutex_);
  return open_.empty();
}

void CommandSender::Look(MonotonicTime now) {
  std::vector<CommandId> ids;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, open] : open_) ids.push_back(id);
  }
  if (ids.empty()) return;
  const auto answers = spool_.published().ReadAnswers(ids);
  SpoolChange change;
  Ended ended;
  // Destroyed after the lock is released.
  std::vector<Done> unwanted;
  {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto found = open_.find(ids[i]);
      if (found == open_.end()) continue;
      Open& open = found->second;
      if (!open.next_beat.has_value()) open.next_beat = now + kBeat;
      const auto& listener = open.wait.listener;
      if (answers.ok() && (*answers)[i].has_value()) {
        const CommandAnswer& answer = *(*answers)[i];
        if (answer.status.ok()) {
          ended.emplace_back(std::move(open.done), answer.body);
        } else {
          ended.emplace_back(std::move(open.done), answer.status);
        }
      } else if (listener.has_value() && listener->expired()) {
        unwanted.push_back(std::move(open.done));
      } else if (open.wait.until.has_value() && now >= *open.wait.until) {
        ended.emplace_back(std::move(open.done), NobodyAnswered());
      } else {
        if (now < *open.next_beat) continue;
        open.next_beat = now + kBeat;
        ++open.command.beat;
        change.PutCommand(ids[i], open.command);
        continue;
      }
      change.DeleteCommand(ids[i]);
      open_.erase(found);
    }
  }
  if (!change.empty()) committer_.Apply(std::move(change), nullptr);
  for (auto& [done, result] : ended) done(std::move(result));
}

void CommandSender::Stop() {
  SpoolChange change;
  std::vector<Done> ended;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    for (auto& [id, open] : open_) {
      change.DeleteCommand(id);
      ended.push_back(std::move(open.done));
    }
    open_.clear();
  }
  if (!change.empty()) committer_.Apply(std::move(change), nullptr);
  for (Done& done : ended) done(ShuttingDown());
}

}  // namespace heapsync
