#include "heap_adapter/scheduling/backoff.h"

#include <algorithm>
#include <cmath>

namespace heapsync {

Duration FullJitter(int failures, const BackoffRules& rules, double random01) {
  // In floating point, so that an overflow gives infinity and the cap applies.
  const double max_wait =
      std::min(static_cast<double>(rules.initial.count()) *
                   std::pow(rules.factor, std::max(failures, 1) - 1),
               static_cast<double>(rules.cap.count()));
  return std::max(rules.min,
                  Duration(static_cast<Duration::rep>(max_wait * random01)));
}

}  // namespace heapsync
