#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_RANGES_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_RANGES_H_

#include <chrono>
#include <cstdint>

namespace heapsync {

struct NumberRange {
  uint32_t least;
  uint32_t most;
};

// Values that the file and the flags accept. Heap's reference allows at most
// 1,000 items in a request; the other bounds catch typing errors.
inline constexpr NumberRange kBatchItemsRange{1, 1'000};
inline constexpr NumberRange kBatchBytesRange{1 << 10, 16 << 20};
inline constexpr std::chrono::milliseconds kMaxBatchWait =
    std::chrono::hours(1);
// Of Destination::max_queued_mib; at most 16 TiB.
inline constexpr NumberRange kQueuedMibRange{1, 16 << 20};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_RANGES_H_
