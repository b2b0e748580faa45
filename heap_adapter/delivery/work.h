#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_WORK_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_WORK_H_

#include <cstdint>

namespace heapsync {

// Estimated work of the dispatcher's thread. One unit is a byte that is copied,
// or about a nanosecond; tests/bench/schedule_bench.cc measures it. Decisions
// read no clock, so it is by these estimates that the work is cut into steps.
struct Work {
  static constexpr uint64_t kItem = 1'000;     // added to a batch, or moved
  static constexpr uint64_t kPassedItem = 50;  // looked at and left
  static constexpr uint64_t kIdentity = 200;   // looked at and left
  static constexpr uint64_t kProperty = 150;   // read to be coalesced
  static constexpr uint64_t kRecord = 5'000;   // found in the spool
  static constexpr uint64_t kBlock = 2'000;    // found, besides its bytes
  static constexpr uint64_t kPull = 500;       // the decision for a lane
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_WORK_H_
