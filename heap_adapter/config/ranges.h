#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_RANGES_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_RANGES_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "heap_adapter/config/duration_text.h"

namespace heapsync {

// Whole numbers from `min` to `max`, both allowed.
struct NumberRange {
  uint32_t min;
  uint32_t max;

  // "1 to 1000".
  std::string Text() const { return absl::StrCat(min, " to ", max); }
};

// Values that the file and the flags accept. Heap's reference allows at most
// 1,000 items in a request; the other bounds catch typing errors.
inline constexpr NumberRange kBatchItemsRange{1, 1'000};
inline constexpr NumberRange kBatchBytesRange{1 << 10, 16 << 20};
inline constexpr DurationRange kBatchWaitRange{std::chrono::milliseconds(0),
                                               std::chrono::hours(1)};
// Of Destination::max_queued_mib; at most 16 TiB.
inline constexpr NumberRange kQueuedMibRange{1, 16 << 20};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_RANGES_H_
