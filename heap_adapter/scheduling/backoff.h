#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_BACKOFF_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_BACKOFF_H_

#include <chrono>

#include "heap_adapter/base/clock.h"

namespace heapsync {

// How waits between attempts grow.
struct BackoffRules {
  // Longest wait after the first failure; above zero. Smaller: a short fault
  // costs less time, but a broken Heap gets more requests.
  Duration initial = std::chrono::milliseconds(500);

  // What each further failure multiplies the longest wait by; at least 1.
  double factor = 2.0;

  // Bound of the longest wait. Larger: fewer requests during a long outage, but
  // the end of it is noticed later.
  Duration cap = std::chrono::seconds(60);
};

// How long to wait before the next attempt, after `failures` of them in a row:
// exponential backoff with full jitter, that is a time drawn evenly from
// [0, min(cap, initial · factor^(failures − 1))). Full, so that the senders
// that one outage stopped do not come back together.
//
// `random01` is drawn evenly from [0, 1). Any number of failures is fine; below
// one it counts as one. Pure.
Duration FullJitter(int failures, const BackoffRules& rules, double random01);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_BACKOFF_H_
