#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_DRAIN_FORECAST_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_DRAIN_FORECAST_H_

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace heapsync {

// Items that wait for their delivery.
struct QueuedItems {
  uint64_t items = 0;  // the deferred ones included
  uint64_t deferred_items = 0;
  double delivered_per_second = 0;  // recently
};

// A limit of the items that may be delivered in any `window`, and its use.
struct LimitUse {
  Duration window{};
  uint64_t total = 0;
  uint64_t used = 0;
};

// The time until the items are delivered if all goes well; none if nothing
// tells. `limit` is none if there is none. Pure.
std::optional<Duration> TimeToDrain(const QueuedItems& queued,
                                    const std::optional<LimitUse>& limit);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_DRAIN_FORECAST_H_
