#include "heap_adapter/scheduling/drain_forecast.h"

#include <algorithm>
#include <chrono>

namespace heapsync {

std::optional<Duration> TimeToDrain(const QueuedItems& queued,
                                    const std::optional<LimitUse>& limit) {
  using Seconds = std::chrono::duration<double>;
  if (queued.items == 0) return Duration::zero();
  const auto items = static_cast<double>(queued.items);
  // Deferred items go at the pace of their identities, of which only the past
  // tells.
  const bool all_deferred = queued.deferred_items == queued.items;
  if (limit.has_value() && !all_deferred) {
    // The free part of the window goes immediately, the rest at the pace
    // of the limit.
    const uint64_t free = limit->total - std::min(limit->total, limit->used);
    const double later = std::max(0.0, items - static_cast<double>(free));
    return std::chrono::duration_cast<Duration>(
        limit->window * (later / static_cast<double>(limit->total)));
  }
  if (queued.delivered_per_second <= 0) return std::nullopt;
  return std::chrono::duration_cast<Duration>(
      Seconds(items / queued.delivered_per_second));
}

}  // namespace heapsync
