#ifndef HEAPSYNC_SERVER_OBSERVE_DISPATCHER_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_DISPATCHER_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <vector>

#include "base/clock.h"

namespace heapsync {

// Measures the steps of the dispatcher's thread: how long one caller's items
// may keep all others waiting.
class DispatcherMetrics final : public prometheus::Collectable {
 public:
  DispatcherMetrics();

  // See EngineOptions::on_step. Any thread.
  void OnStep(Duration duration);

  // Any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  prometheus::Registry registry_;
  prometheus::Histogram& steps_;  // owned by `registry_`
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_DISPATCHER_METRICS_H_
