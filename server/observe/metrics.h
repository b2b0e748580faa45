#ifndef HEAPSYNC_SERVER_OBSERVE_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_METRICS_H_

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/server_status.h"

namespace heapsync {

// All metrics in Prometheus's text format, version 0.0.4: those of `status`,
// then those of `others`. Label values are item types, fixed words and the
// names of the destinations that have metrics of their own, so their number is
// bounded. The value under MetricDestinations::kOther is the sum over all other
// destinations; for ages and forecasts it is the maximum, for states the number
// of destinations in each. Counters of items start at zero with the server. Any
// thread.
std::string MetricsText(
    const ServerStatus& status, absl::string_view version,
    MetricDestinations& destinations,
    const std::vector<const prometheus::Collectable*>& others);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_METRICS_H_
