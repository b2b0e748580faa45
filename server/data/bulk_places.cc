#include "server/data/bulk_places.h"

#include <chrono>
#include <optional>
#include <utility>

namespace heapsync {
namespace {

// After one in vain.
constexpr Duration kBetweenLooks = std::chrono::milliseconds(100);

}  // namespace

std::variant<CallSlots::Slot, CallError> BulkPlaces::Take(
    const std::string& caller, MonotonicTime now) {
  auto taken = slots_.Take(caller, [&](CallSlots::Shortage shortage) {
    return EndSilent(shortage, caller, now);
  });
  if (const auto* shortage = std::get_if<CallSlots::Shortage>(&taken)) {
    return NoSlot(*shortage);
  }
  return std::get<CallSlots::Slot>(std::move(taken));
}

bool BulkPlaces::EndSilent(CallSlots::Shortage shortage,
                           const std::string& caller, MonotonicTime now) {
  {
    MutexLock lock(mutex_);
    if (now < next_look_) return false;
  }
  std::optional<std::string> owner;
  if (shortage == CallSlots::Shortage::kShareTaken) owner = caller;
  if (streams_.EndLongestSilent(now - silent_time_, owner)) {
    silent_ended_.fetch_add(1);
    return true;
  }
  MutexLock lock(mutex_);
  next_look_ = now + kBetweenLooks;
  return false;
}

}  // namespace heapsync
