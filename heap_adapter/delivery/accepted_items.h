#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_ACCEPTED_ITEMS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_ACCEPTED_ITEMS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/intake/lane_directory.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// Counts the items that an engine accepted while it did not deliver. Any
// thread.
class AcceptedItems {
 public:
  void Add(LaneId lane, uint64_t items) {
    MutexLock lock(mutex_);
    items_[lane] += items;
  }
  // A snapshot of each destination, with nothing but those.
  std::vector<DestinationSnapshot> Snapshots(
      const std::vector<Destination>& destinations,
      const LaneDirectory& directory) const;

 private:
  mutable Mutex mutex_;
  absl::flat_hash_map<LaneId, uint64_t> items_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_ACCEPTED_ITEMS_H_
