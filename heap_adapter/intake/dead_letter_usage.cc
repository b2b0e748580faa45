#include "heap_adapter/intake/dead_letter_usage.h"

namespace heapsync {
namespace {

// Unsigned sums wrap, so that adding a negative number subtracts it.
void AddTo(DeadLetterTotals& totals, const DeadLetterDelta& delta) {
  totals.letters += static_cast<uint64_t>(delta.letters);
  totals.bytes += static_cast<uint64_t>(delta.bytes);
  for (size_t i = 0; i < totals.by_reason.size(); ++i) {
    totals.by_reason[i] += static_cast<uint64_t>(delta.by_reason[i]);
  }
}

}  // namespace

void DeadLetterUsage::Add(absl::string_view destination,
                          const DeadLetterDelta& delta) {
  MutexLock lock(mutex_);
  AddTo(destinations_[std::string(destination)], delta);
  AddTo(lanes_[delta.lane], delta);
  bytes_.fetch_add(static_cast<uint64_t>(delta.bytes),
                   std::memory_order_relaxed);
}

void DeadLetterUsage::Clear() {
  MutexLock lock(mutex_);
  destinations_.clear();
  lanes_.clear();
  bytes_.store(0, std::memory_order_relaxed);
}

std::vector<std::pair<LaneId, DeadLetterTotals>> DeadLetterUsage::Lanes()
    const {
  std::vector<std::pair<LaneId, DeadLetterTotals>> lanes;
  MutexLock lock(mutex_);
  for (const auto& [lane, totals] : lanes_) {
    if (totals.letters > 0) lanes.emplace_back(lane, totals);
  }
  return lanes;
}

DeadLetterTotals DeadLetterUsage::Of(absl::string_view destination) const {
  MutexLock lock(mutex_);
  const auto found = destinations_.find(destination);
  return found == destinations_.end() ? DeadLetterTotals() : found->second;
}

bool DeadLetterUsage::HasRoom(absl::string_view destination, LaneId lane,
                              uint64_t max_bytes) const {
  // Where there are few, nothing has to be looked up.
  if (bytes() < max_bytes / 2) return true;
  MutexLock lock(mutex_);
  const auto all = destinations_.find(destination);
  if (all == destinations_.end()) return true;
  if (all->second.bytes >= max_bytes) return false;
  const auto own = lanes_.find(lane);
  return own == lanes_.end() || own->second.bytes < max_bytes / 2;
}

}  // namespace heapsync
