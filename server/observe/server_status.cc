#include "server/observe/server_status.h"

#include <chrono>
#include <utility>

namespace heapsync {

StatusReader::StatusReader(Engines& engines, Duration patience)
    : engines_(engines),
      patience_(patience),
      started_(engines.clock().Read().monotonic),
      mailbox_(std::make_shared<Mailbox>()) {}

std::shared_ptr<const ServerStatus> StatusReader::Read() {
  std::shared_ptr<const ServerStatus> previous;
  {
    MutexLock lock(mutex_);
    if (reading_) {
      while (reading_) read_.Wait(mutex_);
      return latest_;
    }
    const MonotonicTime now = engines_.clock().Read().monotonic;
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

std::optional<EngineSnapshot> StatusReader::AskDispatcher() {
  bool ask = false;
  {
    MutexLock lock(mailbox_->mutex);
    // A snapshot that arrived after the time-out is too old by now.
    mailbox_->answer = std::nullopt;
    ask = !std::exchange(mailbox_->asked, true);
  }
  if (ask) {
    engines_.RequestSnapshot([mailbox = mailbox_](EngineSnapshot snapshot) {
      MutexLock lock(mailbox->mutex);
      mailbox->asked = false;
      mailbox->answer = std::move(snapshot);
      mailbox->arrived.NotifyAll();
    });
  }
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  MutexLock lock(mailbox_->mutex);
  while (!mailbox_->answer.has_value()) {
    const auto rest = deadline - std::chrono::steady_clock::now();
    if (rest <= std::chrono::nanoseconds::zero()) break;
    mailbox_->arrived.WaitFor(mailbox_->mutex, rest);
  }
  return std::exchange(mailbox_->answer, std::nullopt);
}

std::optional<WallTime> StatusReader::OldestOf(
    const DestinationSnapshot& destination, const LaneSnapshot& lane) {
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
  const auto oldest = engines_.OldestWaiting(destination.name, lane);
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
  std::optional<EngineSnapshot> taken = AskDispatcher();
  const Now now = engines_.clock().Read();
  auto status = std::make_shared<ServerStatus>(
      ServerStatus{.now = now,
                   .uptime = now.monotonic - started_,
                   .spool = engines_.spool_figures(),
                   .taken_at = std::nullopt,
                   .destinations = {}});
  if (taken.has_value()) {
    status->taken_at = taken->taken_at.monotonic;
    status->destinations.reserve(taken->destinations.size());
    for (DestinationSnapshot& snapshot : taken->destinations) {
      std::vector<std::optional<WallTime>> oldest;
      oldest.reserve(snapshot.lanes.size());
      for (const LaneSnapshot& lane : snapshot.lanes) {
        oldest.push_back(OldestOf(snapshot, lane));
      }
      status->destinations.push_back({.snapshot = std::move(snapshot),
                                      .oldest_waiting = std::move(oldest)});
    }
    for (DestinationSnapshot& snapshot : taken->accepted) {
      const size_t lanes = snapshot.lanes.size();
      status->accepted.push_back(
          {.snapshot = std::move(snapshot),
           .oldest_waiting =
               std::vector<std::optional<WallTime>>(lanes, std::nullopt)});
    }
  } else if (previous != nullptr) {
    status->taken_at = previous->taken_at;
    status->destinations = previous->destinations;
    status->accepted = previous->accepted;
  }
  return status;
}

}  // namespace heapsync
