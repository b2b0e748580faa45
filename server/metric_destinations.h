#ifndef HEAPSYNC_SERVER_METRIC_DESTINATIONS_H_
#define HEAPSYNC_SERVER_METRIC_DESTINATIONS_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/sync/mutex.h"

namespace heapsync {

// Which destinations have metrics of their own. Each costs a scrape some 200
// lines, so only the first `most` that are named here do; the rest is summed up
// as kOther. A destination never changes sides while the process lives, or its
// counters would jump. Any thread.
class MetricDestinations {
 public:
  // No destination can be called so: their names begin with a letter or digit.
  static constexpr char kOther[] = "_other";

  explicit MetricDestinations(size_t most) : most_(most) {}

  // Whether `destination` has metrics of its own: it is one of the first.
  bool HasOwn(absl::string_view destination);

  // The label of `destination`: its name, or kOther.
  std::string LabelOf(absl::string_view destination) {
    return std::string(HasOwn(destination) ? destination : kOther);
  }

 private:
  const size_t most_;
  Mutex mutex_;
  absl::flat_hash_set<std::string> own_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_METRIC_DESTINATIONS_H_
