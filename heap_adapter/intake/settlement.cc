#include "heap_adapter/intake/settlement.h"

#include <algorithm>
#include <iterator>

#include "heap_adapter/spool/coding.h"

namespace heapsync {

std::string Settlement::Encode() const {
  std::string bytes;
  AppendVarint(bytes, delivered);
  AppendVarint(bytes, dead_lettered);
  return bytes;
}

absl::StatusOr<Settlement> Settlement::Decode(absl::string_view bytes) {
  Reader reader(bytes);
  Settlement settlement;
  settlement.delivered = reader.Varint();
  settlement.dead_lettered = reader.Varint();
  if (!reader.AtEnd()) return absl::DataLossError("malformed settlement");
  return settlement;
}

SettledCallback SettlementGate::Through(
    const std::shared_ptr<SettlementGate>& gate) {
  return {gate->callback_.listener(),
          [gate](Settlement settlement) { gate->Settle(settlement); }};
}

void SettlementGate::Settle(Settlement settlement) {
  {
    MutexLock lock(mutex_);
    if (!open_) {
      kept_ = settlement;
      return;
    }
  }
  callback_(settlement);
}

void SettlementGate::Open() {
  std::optional<Settlement> kept;
  {
    MutexLock lock(mutex_);
    open_ = true;
    kept = kept_;
  }
  if (kept.has_value()) callback_(*kept);
}

void SettlementWaiters::ForgetUnwanted() {
  if (size() < next_look_) return;
  absl::erase_if(by_begin_, [](const auto& waiter) {
    return !waiter.second.callback.wanted();
  });
  ForgetUnwantedFlushes();
  if (empty()) forwarded_.clear();
  next_look_ = std::max(kFirstLook, 2 * size());
}

void SettlementWaiters::ForgetUnwantedFlushes() {
  std::erase_if(flushes_,
                [](const Waiter& waiter) { return !waiter.callback.wanted(); });
  next_look_at_flushes_ = std::max(kFirstLookAtFlushes, 2 * flushes_.size());
}

bool SettlementWaiters::IsWaitedFor(Seq seq) const {
  if (auto it = by_begin_.upper_bound(seq); it != by_begin_.begin()) {
    if (seq < std::prev(it)->second.end) return true;
  }
  return std::any_of(flushes_.begin(), flushes_.end(),
                     [seq](const Waiter& waiter) { return seq < waiter.end; });
}

void SettlementWaiters::WaitForItems(SeqRange items, SettledCallback callback) {
  ForgetUnwanted();
  by_begin_.emplace(items.begin, Waiter{.end = items.end,
                                        .remaining = items.size(),
                                        .callback = std::move(callback),
                                        .so_far = {}});
}

void SettlementWaiters::WaitForAllBelow(Seq end, uint64_t count,
                                        SettledCallback callback) {
  if (count == 0) {
    finished_.emplace_back(std::move(callback), Settlement{});
    return;
  }
  ForgetUnwanted();
  if (flushes_.size() >= next_look_at_flushes_) ForgetUnwantedFlushes();
  // Items coalesced into another one are counted with it.
  for (const auto& [into, inside] : forwarded_) count += inside.size();
  flushes_.push_back(Waiter{.end = end,
                            .remaining = count,
                            .callback = std::move(callback),
                            .so_far = {}});
}

void SettlementWaiters::Forward(Seq seq, Seq into) {
  if (IsWaitedFor(seq)) forwarded_[into].push_back(seq);
  // Items coalesced into `seq` follow it.
  const auto it = forwarded_.find(seq);
  if (it == forwarded_.end()) return;
  std::vector<Seq> moved = std::move(it->second);
  forwarded_.erase(it);
  std::vector<Seq>& target = forwarded_[into];
  target.insert(target.end(), moved.begin(), moved.end());
}

void SettlementWaiters::Count(Waiter& waiter, bool delivered) {
  ++(delivered ? waiter.so_far.delivered : waiter.so_far.dead_lettered);
  if (--waiter.remaining == 0) {
    finished_.emplace_back(std::move(waiter.callback), waiter.so_far);
  }
}

void SettlementWaiters::End(Seq seq, bool delivered) {
  if (empty()) return;
  if (auto it = by_begin_.upper_bound(seq); it != by_begin_.begin()) {
    --it;
    if (seq < it->second.end) {
      Count(it->second, delivered);
      if (it->second.remaining == 0) by_begin_.erase(it);
    }
  }
  for (Waiter& waiter : flushes_) {
    if (seq < waiter.end && waiter.remaining > 0) Count(waiter, delivered);
  }
  std::erase_if(flushes_, [](const Waiter& w) { return w.remaining == 0; });
  if (const auto it = forwarded_.find(seq); it != forwarded_.end()) {
    const std::vector<Seq> inside = std::move(it->second);
    forwarded_.erase(it);
    for (const Seq each : inside) End(each, delivered);
  }
  if (empty()) forwarded_.clear();
}

std::vector<std::pair<SeqRange, SettledCallback>> SettlementWaiters::TakeAll() {
  std::vector<std::pair<SeqRange, SettledCallback>> taken;
  for (auto& [begin, waiter] : by_begin_) {
    taken.emplace_back(SeqRange{begin, waiter.end}, std::move(waiter.callback));
  }
  for (Waiter& waiter : flushes_) {
    waiter.so_far.abandoned = true;
    finished_.emplace_back(std::move(waiter.callback), waiter.so_far);
  }
  by_begin_.clear();
  flushes_.clear();
  forwarded_.clear();
  return taken;
}

std::vector<std::pair<SettledCallback, Settlement>>
SettlementWaiters::TakeFinished() {
  return std::exchange(finished_, {});
}

}  // namespace heapsync
