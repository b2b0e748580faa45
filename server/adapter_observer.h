#ifndef HEAPSYNC_SERVER_ADAPTER_OBSERVER_H_
#define HEAPSYNC_SERVER_ADAPTER_OBSERVER_H_

#include <prometheus/collectable.h>

#include <vector>

#include "heap_adapter/adapter.h"
#include "server/config/server_config.h"
#include "server/observe/attempt_metrics.h"
#include "server/observe/dispatcher_metrics.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/spool_metrics.h"

namespace heapsync {

AdapterOptions AdapterOptionsOf(const ServerConfig& config);

// Logs and measures what an adapter does.
class AdapterObserver {
 public:
  explicit AdapterObserver(const ServerConfig& config);

  // This must outlive the adapter.
  AdapterEvents Events();

  MetricDestinations& destinations() { return destinations_; }
  // Not owned.
  std::vector<const prometheus::Collectable*> metrics() const {
    return {&spool_, &attempts_, &dispatcher_};
  }

 private:
  // In the order in which they need each other.
  MetricDestinations destinations_;
  AttemptMetrics attempts_;
  DispatcherMetrics dispatcher_;
  SpoolMetrics spool_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADAPTER_OBSERVER_H_
