#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_MERGE_PROPERTIES_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_MERGE_PROPERTIES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Merges two updates of one user or account into a single update with the
// effect of both in turn: keys of `newer` override those of `older`. Both, and
// the result, are items as ChunkEncoder writes them.
//
// Errors: kOutOfRange if the result would exceed the maximum size of an item
// (send the two one after the other), kFailedPrecondition if they belong to
// different identities or accounts, kDataLoss if one is not such an item.
absl::StatusOr<std::string> MergeProperties(absl::string_view older,
                                            absl::string_view newer);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_MERGE_PROPERTIES_H_
