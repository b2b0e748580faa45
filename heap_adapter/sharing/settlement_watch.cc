#include "heap_adapter/sharing/settlement_watch.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace heapsync {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(50);
constexpr Duration kMaxPause = std::chrono::seconds(1);
// Appends whose ends are read in one request; bounds how long that takes.
constexpr size_t kMaxAtOnce = 1'000;
// Items that are followed from one that was coalesced to the next.
constexpr int kMaxSteps = 100;

bool IsSettled(const LaneProgress& progress, SeqRange items) {
  const Seq from = std::max(items.begin, progress.low_watermark);
  return from >= items.end || progress.settled.NextAbsent(from) >= items.end;
}

}  // namespace

void SettlementWatch::Wait(LaneId lane, SeqRange items,
                           SettledCallback callback) {
  {
    MutexLock lock(mutex_);
    if (!abandoned_) {
      ++size_;
      added_.push_back({.items = {.lane = lane, .items = items},
                        .callback = std::move(callback),
                        .next_look = {}});
      return;
    }
  }
  callback({.abandoned = true});
}

void SettlementWatch::Abandon() {
  std::vector<Waiting> waiting = std::exchange(waiting_, {});
  {
    MutexLock lock(mutex_);
    abandoned_ = true;
    std::move(added_.begin(), added_.end(), std::back_inserter(waiting));
    added_.clear();
  }
  size_ -= waiting.size();
  for (Waiting& each : waiting) each.callback({.abandoned = true});
}

void SettlementWatch::Look(MonotonicTime now) {
  {
    MutexLock lock(mutex_);
    std::move(added_.begin(), added_.end(), std::back_inserter(waiting_));
    added_.clear();
  }
  size_ -= std::erase_if(waiting_, [](const Waiting& waiting) {
    return !waiting.callback.wanted();
  });
  std::vector<LaneId> lanes;
  for (const Waiting& waiting : waiting_) lanes.push_back(waiting.items.lane);
  std::sort(lanes.begin(), lanes.end());
  lanes.erase(std::unique(lanes.begin(), lanes.end()), lanes.end());
  if (lanes.empty()) return;
  auto read = spool_.ReadProgress(lanes);
  if (!read.ok()) return;
  Progress progress;
  for (size_t i = 0; i < lanes.size(); ++i) {
    progress.emplace(lanes[i], std::move((*read)[i]));
  }
  std::vector<size_t> due;
  std::vector<Spool::LaneItems> items;
  for (size_t i = 0; i < waiting_.size() && due.size() < kMaxAtOnce; ++i) {
    const Waiting& waiting = waiting_[i];
    if (waiting.next_look > now ||
        !IsSettled(progress[waiting.items.lane], waiting.items.items)) {
      continue;
    }
    due.push_back(i);
    items.push_back(waiting.items);
  }
  if (due.empty()) return;
  const auto fates = spool_.ReadFates(items);
  if (!fates.ok()) return;
  std::vector<std::pair<SettledCallback, Settlement>> ended;
  for (size_t i = 0; i < due.size(); ++i) {
    Waiting& waiting = waiting_[due[i]];
    const auto end = EndOf(waiting, (*fates)[i], progress);
    if (end.ok() && end->has_value()) {
      ended.emplace_back(std::move(waiting.callback), **end);
      waiting.items.items = {};
      continue;
    }
    waiting.pause =
        std::min(std::max(2 * waiting.pause, kFirstPause), kMaxPause);
    waiting.next_look = now + waiting.pause;
  }
  size_ -= std::erase_if(waiting_, [](const Waiting& waiting) {
    return waiting.items.items.empty();
  });
  for (auto& [callback, end] : ended) callback(end);
}

absl::StatusOr<std::optional<Settlement>> SettlementWatch::EndOf(
    const Waiting& waiting, const StoredFate& fate,
    const Progress& progress) const {
  if (fate.deferred) return std::nullopt;
  if (!fate.dead_letter && !fate.forwarding.has_value()) {
    return Settlement{.delivered = waiting.items.items.size()};
  }
  return EndOfEach(waiting.items, progress);
}

absl::StatusOr<std::optional<Settlement>> SettlementWatch::EndOfEach(
    const Spool::LaneItems& items, const Progress& progress) const {
  const LaneProgress& of_lane = progress.at(items.lane);
  Settlement settlement;
  std::vector<Spool::LaneItems> open;
  for (Seq seq = items.items.begin; seq < items.items.end; ++seq) {
    open.push_back({.lane = items.lane, .items = {seq, seq + 1}});
  }
  for (int step = 0; step < kMaxSteps; ++step) {
    const auto fates = spool_.ReadFates(open);
    if (!fates.ok()) return fates.status();
    std::vector<Spool::LaneItems> carriers;
    for (const StoredFate& fate : *fates) {
      if (fate.deferred) return std::nullopt;
      if (fate.dead_letter) {
        ++settlement.dead_lettered;
      } else if (!fate.forwarding.has_value()) {
        ++settlement.delivered;
      } else if (fate.forwarding->kind != Forwarding::Kind::kCoalesced) {
        // A person has replayed or discarded the letter since.
        ++settlement.dead_lettered;
      } else {
        const Seq into = fate.forwarding->into;
        if (!of_lane.IsSettled(into)) return std::nullopt;
        carriers.push_back({.lane = items.lane, .items = {into, into + 1}});
      }
    }
    if (carriers.empty()) return settlement;
    open = std::move(carriers);
  }
  return std::nullopt;
}

}  // namespace heapsync
