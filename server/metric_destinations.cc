#include "server/metric_destinations.h"

namespace heapsync {

bool MetricDestinations::HasOwn(absl::string_view destination) {
  MutexLock lock(mutex_);
  if (own_.contains(destination)) return true;
  if (own_.size() >= most_) return false;
  own_.emplace(destination);
  return true;
}

}  // namespace heapsync
