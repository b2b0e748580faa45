#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_PUBLISHED_SNAPSHOT_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_PUBLISHED_SNAPSHOT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// The stored form of a snapshot, by which a server shows destinations that
// another one delivers. What follows from the configuration, name, region and
// App ID, is not in it. DecodeSnapshot() returns kDataLoss for bytes that
// EncodeSnapshot() does not write.
std::string EncodeSnapshot(const DestinationSnapshot& snapshot);
absl::StatusOr<DestinationSnapshot> DecodeSnapshot(absl::string_view bytes);

// The last published snapshot of each destination, with what follows from its
// configuration; nothing else for one that was never published, or is damaged.
// Errors: those of reading the spool.
absl::StatusOr<std::vector<DestinationSnapshot>> ReadPublished(
    const Spool& spool, const std::vector<Destination>& destinations);
// The same of a few, without reading all.
absl::StatusOr<std::vector<DestinationSnapshot>> ReadPublishedOf(
    const Spool& spool, const std::vector<const Destination*>& destinations);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_PUBLISHED_SNAPSHOT_H_
