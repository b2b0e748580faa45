#include "heapsync/client/retry_policy.h"

#include <algorithm>
#include <cmath>

namespace heapsync {

std::chrono::nanoseconds BackoffDelay(
    const RetryPolicy& policy, int failures,
    std::optional<std::chrono::nanoseconds> server_delay, double random) {
  using FractionalNanoseconds = std::chrono::duration<double, std::nano>;
  const FractionalNanoseconds bound = std::min<FractionalNanoseconds>(
      FractionalNanoseconds(policy.initial_backoff) *
          std::pow(policy.growth, std::max(failures, 1) - 1),
      policy.max_backoff);
  return server_delay.value_or(std::chrono::nanoseconds(0)) +
         std::chrono::duration_cast<std::chrono::nanoseconds>(bound * random);
}

}  // namespace heapsync
