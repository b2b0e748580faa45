#include "server/observe/dispatcher_metrics.h"

#include <chrono>

namespace heapsync {
namespace {

// Seconds. A step is meant to end within 10 ms; the alert counts those of more
// than 50 ms.
prometheus::Histogram::BucketBoundaries StepBuckets() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
          0.025,  0.05,    0.1,    0.25,  0.5,    1,     5};
}

}  // namespace

DispatcherMetrics::DispatcherMetrics()
    : steps_(prometheus::BuildHistogram()
                 .Name("heapsync_dispatcher_step_seconds")
                 .Help("Duration of a step of the dispatcher, for which all "
                       "destinations wait.")
                 .Register(registry_)
                 .Add({}, StepBuckets())) {}

void DispatcherMetrics::OnStep(Duration duration) {
  steps_.Observe(std::chrono::duration<double>(duration).count());
}

std::vector<prometheus::MetricFamily> DispatcherMetrics::Collect() const {
  return registry_.Collect();
}

}  // namespace heapsync
