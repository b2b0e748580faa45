#include "server/access/caller.h"

#include <chrono>

namespace heapsync {

Duration CallerAllowance::TryTake(double items, MonotonicTime now) {
  MutexLock lock(mutex_);
  if (bucket_.TryTake(items, now)) return Duration::zero();
  return bucket_.TimeUntil(items, now);
}

Duration CallerAllowance::Take(double items, MonotonicTime now) {
  MutexLock lock(mutex_);
  bucket_.Take(items, now);
  return bucket_.TimeUntil(0, now);
}

std::optional<CallError> Caller::Spend(uint64_t items,
                                       MonotonicTime now) const {
  if (allowance == nullptr) return std::nullopt;
  const Duration wait = allowance->TryTake(static_cast<double>(items), now);
  if (wait == Duration::zero()) return std::nullopt;
  return CallerRateExceeded(std::chrono::ceil<std::chrono::milliseconds>(wait));
}

Duration Caller::SpendAnyway(uint64_t items, MonotonicTime now) const {
  if (allowance == nullptr) return Duration::zero();
  return allowance->Take(static_cast<double>(items), now);
}

}  // namespace heapsync
