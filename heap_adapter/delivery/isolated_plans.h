#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_ISOLATED_PLANS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_ISOLATED_PLANS_H_

#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "base/clock.h"
#include "heap_adapter/delivery/batch.h"

namespace heapsync {

// The isolated items of a lane that wait, each in a plan of its own, by the
// time at which it is tried again. One thread.
class IsolatedPlans {
 public:
  void Add(BatchPlan plan, MonotonicTime next_try) {
    plans_.emplace(next_try, std::move(plan));
  }
  // When the first of them is due; none if there are none.
  std::optional<MonotonicTime> NextTry() const {
    if (plans_.empty()) return std::nullopt;
    return plans_.begin()->first;
  }
  // Takes the first. REQUIRES: there is one.
  BatchPlan Take() {
    BatchPlan plan = std::move(plans_.begin()->second);
    plans_.erase(plans_.begin());
    return plan;
  }

 private:
  absl::btree_multimap<MonotonicTime, BatchPlan> plans_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_ISOLATED_PLANS_H_
