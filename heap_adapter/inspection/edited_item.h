#ifndef HEAPSYNC_HEAP_ADAPTER_INSPECTION_EDITED_ITEM_H_
#define HEAPSYNC_HEAP_ADAPTER_INSPECTION_EDITED_ITEM_H_

#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// Encodes what a person wrote in place of a dead letter: `json` is the item
// under the field names of items.proto. An event keeps the letter's idempotency
// key, and its timestamp where `json` has none. Gives a chunk of one item, or
// what is wrong with `json` under paths that start at `field`; never a value.
std::variant<EncodedChunk, std::vector<Finding>> EncodeEditedItem(
    const EncodingRules& rules, ObjectType type, const DeadLetter& letter,
    absl::string_view json, absl::string_view field, WallTime now);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INSPECTION_EDITED_ITEM_H_
