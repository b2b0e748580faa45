#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_RESPONSE_CLASS_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_RESPONSE_CLASS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace heapsync {

// What a response of Heap means for the batch that it answers. The numbers are
// stored on disk.
enum class ResponseClass : uint8_t {
  kDelivered = 1,      // any 2xx
  kTransient = 2,      // the same batch again, later
  kThrottled = 3,      // the same batch again, later, and slower from now on
  kOversized = 4,      // halve the batch
  kInvalid = 5,        // an item is bad: take out the named one, or halve
  kMisconfigured = 6,  // the destination is misconfigured: hold everything
};

// "delivered", "transient", …
absl::string_view Name(ResponseClass response_class);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_RESPONSE_CLASS_H_
