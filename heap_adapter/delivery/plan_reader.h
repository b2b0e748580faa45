#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_PLAN_READER_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_PLAN_READER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "heap_adapter/delivery/batch.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// An item that a plan names.
struct PlanItem {
  StoredItem item;  // without its text
  std::string text;
  bool deferred = false;  // it lies among the items deferred, not in a block
  bool lost = false;      // damaged or missing on disk; only its seq is known
};

// The items of a plan: those deferred, then the others by their seq. Those set
// deferred that are not there have been settled, and are left out. Errors:
// storage that cannot be read.
absl::StatusOr<std::vector<PlanItem>> ReadPlan(const Spool& spool, LaneId lane,
                                               const BatchPlan& plan);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_PLAN_READER_H_
