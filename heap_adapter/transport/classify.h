#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CLASSIFY_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CLASSIFY_H_

#include <cstddef>
#include <optional>
#include <string>

#include "base/clock.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/model/response_class.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

struct Verdict {
  ResponseClass response_class;
  // Wait that Heap requested with Retry-After (seconds or an HTTP date), above
  // zero and at most the maximum that Classify() was given. It may lengthen the
  // sender's own backoff, never shorten it.
  std::optional<Duration> retry_after;
  // kHeap unless the response shows that another program sent it. Something in
  // between can give any status, so this is not certain. Means nothing with
  // kDelivered.
  ErrorOrigin origin;
  // Index in the batch that Heap's text names: 3 for
  // `postBody.events[3].properties should be object`. Set only with kInvalid,
  // and only if the text names exactly one index of the array that was sent.
  std::optional<size_t> named_item;
  // "HTTP 503", "HTTP 429, Retry-After until 2026-01-02T03:04:05Z", "no
  // connection: proxy refused CONNECT: 503": for logs and for people. Contains
  // nothing of Heap's text, which may quote values.
  std::string summary;
};

// Classifies a response by the table in docs/operations.md. Pure. `type` is the
// type of the batch, `batch_size` its number of items; `now` is needed for the
// date form of Retry-After. A Retry-After beyond `max_retry_after` is cut to
// it; one that is malformed or over already is ignored.
Verdict Classify(const HeapResponse& response, ObjectType type,
                 size_t batch_size, WallTime now, Duration max_retry_after);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_CLASSIFY_H_
