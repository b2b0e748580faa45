#ifndef HEAPSYNC_HEAP_ADAPTER_SCHEDULING_BACKOFF_H_
#define HEAPSYNC_HEAP_ADAPTER_SCHEDULING_BACKOFF_H_

#include <chrono>

#include "base/clock.h"

namespace heapsync {

// Growth of the waits between attempts.
struct BackoffRules {
  // Maximum wait after the first failure; above zero. Smaller: a short fault
  // costs less time, but a failing Heap gets more requests.
  Duration initial = std::chrono::milliseconds(500);

  // Minimum wait after any failure; at most `cap`. Full jitter alone may draw a
  // wait of nothing. Smaller: a short fault costs less time, but a Heap that
  // fails immediately gets more requests.
  Duration min = std::chrono::milliseconds(100);

  // Factor by which each further failure multiplies the maximum wait; at least
  // 1.
  double factor = 2.0;

  // Upper bound of the maximum wait. Larger: fewer requests during a long
  // outage, but its end is noticed later.
  Duration cap = std::chrono::seconds(60);
};

// The wait before the next attempt, after `failures` consecutive failures:
// exponential backoff with full jitter, that is, uniformly distributed over
// [0, min(cap, initial · factor^(failures − 1))), but at least rules.min. Full
// jitter keeps the senders that one outage stopped from resuming at the same
// time.
//
// `random01` is uniformly distributed over [0, 1). `failures` may be any
// number; below one it counts as one. Pure.
Duration FullJitter(int failures, const BackoffRules& rules, double random01);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SCHEDULING_BACKOFF_H_
