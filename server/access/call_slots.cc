#include "server/access/call_slots.h"

namespace heapsync {

std::variant<CallSlots::Slot, CallSlots::Shortage> CallSlots::Take(
    absl::string_view caller, absl::FunctionRef<bool(Shortage)> make_place) {
  const std::optional<Shortage> shortage = Occupy(caller);
  Slot slot(*this, caller);
  if (!shortage.has_value() || make_place(*shortage)) return slot;
  std::atomic<uint64_t>& refused = *shortage == Shortage::kAllTaken
                                       ? refused_all_taken_
                                       : refused_share_taken_;
  refused.fetch_add(1, std::memory_order_relaxed);
  return *shortage;
}

std::optional<CallSlots::Shortage> CallSlots::Occupy(absl::string_view caller) {
  std::optional<Shortage> shortage;
  if (open_.fetch_add(1) >= bounds_.all) shortage = Shortage::kAllTaken;
  if (!IsCounted(caller)) return shortage;
  MutexLock lock(mutex_);
  if (by_caller_[caller]++ >= bounds_.per_caller) {
    shortage = Shortage::kShareTaken;
  }
  return shortage;
}

CallSlots::Counts CallSlots::Read() const {
  return {
      .open = open_.load(std::memory_order_relaxed),
      .refused_all_taken = refused_all_taken_.load(std::memory_order_relaxed),
      .refused_share_taken =
          refused_share_taken_.load(std::memory_order_relaxed)};
}

void CallSlots::GiveBack(const std::string& caller) {
  open_.fetch_sub(1);
  if (!IsCounted(caller)) return;
  MutexLock lock(mutex_);
  const auto open = by_caller_.find(caller);
  if (--open->second == 0) by_caller_.erase(open);
}

}  // namespace heapsync
