#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_NAMED_ITEM_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_NAMED_ITEM_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace heapsync {

// The index of the one item that the text of a 400 blames. Heap's schema check
// is known to write `postBody.events[0].properties should be object` (from
// public issue threads; Heap documents no wording).
//
// `array_key` is the array that was sent ("events"), `batch_size` its length.
// Returns nullopt if the text names no item of that array, more than one, or
// one that was not sent. Only paths that start at `postBody` count: the text
// may quote property values, and blaming the wrong item costs more than halving
// the batch. Pure.
std::optional<size_t> NamedItem(absl::string_view text,
                                absl::string_view array_key, size_t batch_size);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_NAMED_ITEM_H_
