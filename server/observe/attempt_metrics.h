#ifndef HEAPSYNC_SERVER_OBSERVE_ATTEMPT_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_ATTEMPT_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "heap_adapter/engines.h"
#include "server/observe/metric_destinations.h"

namespace heapsync {

// Counts and measures the requests to Heap, per destination and type. The rows
// of a destination appear with its first request, so an idle destination costs
// nothing.
class AttemptMetrics final : public prometheus::Collectable {
 public:
  // `destinations` must outlive this.
  explicit AttemptMetrics(MetricDestinations& destinations);

  // Any thread.
  void OnAttempt(const AttemptEvent& event);

  // Any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  static constexpr size_t kClasses = 7;  // ResponseClass counts from one

  // The metrics are owned by `registry_`.
  struct Rows {
    std::array<prometheus::Counter*, kClasses> attempts{};
    std::array<prometheus::Counter*, kClasses> retries{};
    prometheus::Histogram* batch_items = nullptr;
    prometheus::Histogram* delivery_latency = nullptr;
    prometheus::Histogram* request_duration = nullptr;
  };

  Rows& RowsOf(const AttemptEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void ObserveLatencies(const AttemptEvent& event,
                               prometheus::Histogram& latencies);

  MetricDestinations& destinations_;
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& attempts_;
  prometheus::Family<prometheus::Counter>& retries_;
  prometheus::Family<prometheus::Histogram>& batch_items_;
  prometheus::Family<prometheus::Histogram>& delivery_latency_;
  prometheus::Family<prometheus::Histogram>& request_duration_;
  Mutex mutex_;
  // By label.
  absl::flat_hash_map<std::pair<std::string, ObjectType>, Rows> rows_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_ATTEMPT_METRICS_H_
