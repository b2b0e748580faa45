#ifndef HEAPSYNC_SERVER_OBSERVE_METRIC_DESTINATIONS_H_
#define HEAPSYNC_SERVER_OBSERVE_METRIC_DESTINATIONS_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"

namespace heapsync {

// Decides which destinations have metrics of their own. Each adds about 200
// lines to a scrape, so only the first `max_own` that ask do; the others are
// summed up as kOther. The decision for a destination never changes while the
// process runs, because its counters would jump. Any thread.
class MetricDestinations {
 public:
  // No destination can have this name: names begin with a letter or a digit.
  static constexpr char kOther[] = "_other";

  // Callers without a name.
  static constexpr char kUnnamed[] = "_unnamed";
  // Pairs of a destination and a caller with metrics of their own.
  static constexpr size_t kMaxCallers = 1'000;

  explicit MetricDestinations(size_t max_own) : max_own_(max_own) {}

  // True if `destination` has metrics of its own.
  bool HasOwn(absl::string_view destination);

  // The label of `destination`: its name, or kOther.
  std::string LabelOf(absl::string_view destination) {
    return std::string(HasOwn(destination) ? destination : kOther);
  }

  // The label of a caller of `destination`, which is itself a label: the
  // caller's name, kUnnamed, or kOther once there are kMaxCallers pairs.
  std::string CallerLabelOf(absl::string_view destination,
                            absl::string_view caller);

 private:
  const size_t max_own_;
  Mutex mutex_;
  absl::flat_hash_set<std::string> own_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::pair<std::string, std::string>> callers_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_METRIC_DESTINATIONS_H_
