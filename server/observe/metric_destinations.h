#ifndef HEAPSYNC_SERVER_OBSERVE_METRIC_DESTINATIONS_H_
#define HEAPSYNC_SERVER_OBSERVE_METRIC_DESTINATIONS_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/base/mutex.h"

namespace heapsync {

// Which destinations have metrics of their own. Each costs a scrape some 200
// lines, so only the first `most` that are named here do; the rest is summed up
// as kOther. A destination never changes sides while the process lives, or its
// counters would jump. Any thread.
class MetricDestinations {
 public:
  // No destination can be called so: their names begin with a letter or digit.
  static constexpr char kOther[] = "_other";

  // Callers that give no name.
  static constexpr char kUnnamed[] = "_unnamed";
  // Pairs of a destination and a caller with metrics of their own.
  static constexpr size_t kMaxCallers = 1'000;

  explicit MetricDestinations(size_t most) : most_(most) {}

  // Whether `destination` has metrics of its own: it is one of the first.
  bool HasOwn(absl::string_view destination);

  // The label of `destination`: its name, or kOther.
  std::string LabelOf(absl::string_view destination) {
    return std::string(HasOwn(destination) ? destination : kOther);
  }

  // The label of a caller of `destination`, which is a label itself: the
  // caller's name, kUnnamed, or for those that come when there are kMaxCallers
  // already, kOther.
  std::string CallerLabelOf(absl::string_view destination,
                            absl::string_view caller);

 private:
  const size_t most_;
  Mutex mutex_;
  absl::flat_hash_set<std::string> own_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::pair<std::string, std::string>> callers_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_METRIC_DESTINATIONS_H_
