#ifndef HEAPSYNC_CLIENT_RETRY_POLICY_H_
#define HEAPSYNC_CLIENT_RETRY_POLICY_H_

#include <chrono>
#include <optional>

namespace heapsync {

// The waits between attempts: full-jitter exponential backoff.
struct RetryPolicy {
  // Upper end of the first wait. Larger: gentler on a server that restarts,
  // later success.
  std::chrono::milliseconds initial_backoff{100};

  // Upper end of every wait. Larger: fewer attempts during a long outage, and a
  // longer delay once it is over.
  std::chrono::milliseconds max_backoff{10'000};

  // Growth of the upper end with each failure in a row.
  double growth = 2.0;
};

// The wait after `failures` failed attempts in a row (at least 1): a part
// `random` of [0, 1) of the backoff, on top of the delay that the server asked
// for. Jitter on top, so that callers who were all told the same delay do not
// return at the same moment.
std::chrono::nanoseconds BackoffDelay(
    const RetryPolicy& policy, int failures,
    std::optional<std::chrono::nanoseconds> server_delay, double random);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_RETRY_POLICY_H_
