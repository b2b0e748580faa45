#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_OPEN_LANES_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_OPEN_LANES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "heap_adapter/intake/lane_directory.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// The lanes of a spool, with those of `destinations` that it does not have yet,
// which are stored; all are added to `directory`. Of a shared spool only their
// ids and keys. Errors: those of the spool; kUnavailable if another server gave
// a number away at the same time.
absl::StatusOr<std::vector<StoredLane>> OpenLanes(
    Spool& spool, const std::vector<Destination>& destinations,
    LaneDirectory& directory);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_OPEN_LANES_H_
