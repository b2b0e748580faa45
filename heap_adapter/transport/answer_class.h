#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_ANSWER_CLASS_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_ANSWER_CLASS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/clock/clock.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// What an answer means for the batch it answers. The numbers are stored on
// disk.
enum class AnswerClass : uint8_t {
  kDelivered = 1,  // any 2xx
  kTransient = 2,  // the same batch again, later
  kThrottled = 3,  // the same batch again, later, and slower from now on
  kOversized = 4,  // halve the batch
  kInvalid = 5,    // an item is bad: take out the named one, or halve
  kSetup = 6,      // the destination is misconfigured: hold everything
};

// "delivered", "transient", …
absl::string_view Name(AnswerClass answer_class);

struct Verdict {
  AnswerClass answer_class;
  // Wait that Heap asked for with Retry-After (seconds or an HTTP date), cut to
  // [0, kMaxRetryAfter].
  std::optional<Duration> retry_after;
  // Index in the batch that Heap's text names: `postBody.events[3].properties
  // should be object` names 3. Only with kInvalid, and only when the text names
  // exactly one index, of the array that was sent.
  std::optional<size_t> named_item;
  // "HTTP 503", "connection reset": for logs and metrics, without a byte of
  // Heap's text, which may quote values.
  std::string summary;
};
inline constexpr Duration kMaxRetryAfter = std::chrono::hours(1);

// Sorts an answer into the classes of the table in the README. Pure. `type` is
// the batch's, `batch_size` its number of items, `now` is needed for the date
// form of Retry-After. A malformed Retry-After counts as none.
Verdict Classify(const HeapAnswer& answer, ObjectType type, size_t batch_size,
                 WallTime now);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_ANSWER_CLASS_H_
