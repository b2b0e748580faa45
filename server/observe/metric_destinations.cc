#include "server/observe/metric_destinations.h"

namespace heapsync {

bool MetricDestinations::HasOwn(absl::string_view destination) {
  MutexLock lock(mutex_);
  if (own_.contains(destination)) return true;
  if (own_.size() >= max_own_) return false;
  own_.emplace(destination);
  return true;
}

std::string MetricDestinations::CallerLabelOf(absl::string_view destination,
                                              absl::string_view caller) {
  if (caller.empty()) return kUnnamed;
  std::pair<std::string, std::string> pair(destination, caller);
  MutexLock lock(mutex_);
  if (!callers_.contains(pair)) {
    if (callers_.size() >= kMaxCallers) return kOther;
    callers_.insert(std::move(pair));
  }
  return std::string(caller);
}

}  // namespace heapsync
