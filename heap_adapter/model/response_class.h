#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_RESPONSE_CLASS_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_RESPONSE_CLASS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace heapsync {

// Consequence of a response of Heap for the batch. The numbers are stored on
// disk.
enum class ResponseClass : uint8_t {
  kDelivered = 1,      // Heap took the items
  kTransient = 2,      // retry the same batch later
  kThrottled = 3,      // retry the same batch later, and send more slowly
  kOversized = 4,      // halve the batch
  kInvalid = 5,        // an item is invalid: remove the named one, or halve
  kMisconfigured = 6,  // the destination is misconfigured: hold everything
};

// The party that keeps items from being delivered.
enum class ErrorOrigin : uint8_t {
  kSpool,  // it could not be read
  kHeap,
  kWay,  // the network, a proxy or another server in between
};

// "delivered", "transient", …
absl::string_view Name(ResponseClass response_class);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_RESPONSE_CLASS_H_
