#ifndef HEAPSYNC_SERVER_OBSERVE_PROCESS_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_PROCESS_METRICS_H_

#include <prometheus/collectable.h>

#include <vector>

namespace heapsync {

// Memory, processor time, files and age of this process, under the names that
// Prometheus's own clients use, and its dropped log lines. Leaves out values
// that /proc does not report. Any thread.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_PROCESS_METRICS_H_
