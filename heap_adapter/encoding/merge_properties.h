#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_MERGE_PROPERTIES_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_MERGE_PROPERTIES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Joins two updates of one user or account into the one update that has the
// effect of both in turn: each key of `newer` wins, the other keys of `older`
// stay. Both are items as ChunkEncoder wrote them; so is the result.
//
// Errors: kOutOfRange if the result would be larger than one item may be (send
// them one after the other), kFailedPrecondition if they are not of the same
// identity or account, kDataLoss if one is not such an item.
absl::StatusOr<std::string> MergeProperties(absl::string_view older,
                                            absl::string_view newer);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_MERGE_PROPERTIES_H_
