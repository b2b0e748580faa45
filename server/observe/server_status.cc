#include "server/observe/server_status.h"

#include <utility>

namespace heapsync {

StatusReader::StatusReader(Engine& engine, Duration patience)
    : engine_(engine),
      patience_(patience),
      started_(engine.clock().Read().monotonic),
      mailbox_(std::make_shared<Mailbox>()) {}

std::shared_ptr<const ServerStatus> StatusReader::Read() {
  std::shared_ptr<const ServerStatus> previous;
  {
    MutexLock lock(mutex_);
    if (reading_) {
      while (reading_) read_.Wait(mutex_);
      return latest_;
    }
    const MonotonicTime now = engine_.clock().Read().monotonic;
    if (latest_ != nullptr && now - latest_->now.monotonic < kFresh) {
      return latest_;
    }
    reading_ = true;
    previous = latest_;
  }
  std::shared_ptr<const ServerStatus> status = Make(previous.get());
  MutexLock lock(mutex_);
  latest_ = status;
  reading_ = false;
  read_.NotifyAll();
  return status;
}

std::optional<StatusReader::Taken> StatusReader::AskDispatcher() {
  std::unique_lock<std::mutex> lock(mailbox_->mutex);
  // A snapshot that arrived after the timeout is too old by now.
  mailbox_->answer = std::nullopt;
  if (!mailbox_->asked) {
    mailbox_->asked = true;
    lock.unlock();
    engine_.Post([mailbox = mailbox_](Dispatcher& dispatcher, Now now) {
      Taken taken{.at = now.monotonic,
                  .destinations = dispatcher.Snapshot(now)};
      const std::lock_guard<std::mutex> answering(mailbox->mutex);
      mailbox->asked = false;
      mailbox->answer = std::move(taken);
      mailbox->arrived.notify_all();
    });
    lock.lock();
  }
  mailbox_->arrived.wait_for(lock, patience_,
                             [&] { return mailbox_->answer.has_value(); });
  return std::exchange(mailbox_->answer, std::nullopt);
}

std::optional<WallTime> StatusReader::OldestOf(const LaneSnapshot& lane) {
  if (lane.queued_items == 0) {
    oldest_.erase(lane.id);
    return std::nullopt;
  }
  // Deferred items have an order of their own.
  const bool in_order = lane.some_deferred_identities.empty();
  if (const auto known = oldest_.find(lane.id);
      in_order && known != oldest_.end() &&
      known->second.first_unsettled == lane.unsettled.begin) {
    return known->second.accepted_at;
  }
  const auto oldest = OldestWaiting(engine_.spool(), lane);
  if (!oldest.ok()) return std::nullopt;
  if (in_order && oldest->has_value()) {
    oldest_.insert_or_assign(lane.id,
                             Oldest{.first_unsettled = lane.unsettled.begin,
                                    .accepted_at = **oldest});
  }
  return *oldest;
}

std::shared_ptr<const ServerStatus> StatusReader::Make(
    const ServerStatus* previous) {
  std::optional<Taken> taken = AskDispatcher();
  const Now now = engine_.clock().Read();
  auto status = std::make_shared<ServerStatus>(
      ServerStatus{.now = now,
                   .uptime = now.monotonic - started_,
                   .spool_healthy = engine_.healthy(),
                   .disk_nearly_full = engine_.disk_nearly_full(),
                   .spool_commits = engine_.committer().commits(),
                   .spool_syncs = engine_.committer().syncs(),
                   .taken_at = std::nullopt,
                   .destinations = {}});
  if (taken.has_value()) {
    status->taken_at = taken->at;
    status->destinations.reserve(taken->destinations.size());
    for (DestinationSnapshot& snapshot : taken->destinations) {
      std::vector<std::optional<WallTime>> oldest;
      oldest.reserve(snapshot.lanes.size());
      for (const LaneSnapshot& lane : snapshot.lanes) {
        oldest.push_back(OldestOf(lane));
      }
      status->destinations.push_back({.snapshot = std::move(snapshot),
                                      .oldest_waiting = std::move(oldest)});
    }
  } else if (previous != nullptr) {
    status->taken_at = previous->taken_at;
    status->destinations = previous->destinations;
  }
  return status;
}

}  // namespace heapsync
