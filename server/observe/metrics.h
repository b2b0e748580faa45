#ifndef HEAPSYNC_SERVER_OBSERVE_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_METRICS_H_

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/server_status.h"

namespace heapsync {

// Everything in Prometheus's text format, version 0.0.4: what `status` tells,
// then what the `others` count. Labels are item types, fixed words and the
// names of the destinations that have metrics of their own, so their number is
// bounded. What stands under MetricDestinations::kOther is the sum of the rest;
// of ages and forecasts it is the greatest, and of states it is how many
// destinations are in each. Counters of items start at zero with the server.
// Any thread.
std::string MetricsText(
    const ServerStatus& status, absl::string_view version,
    MetricDestinations& destinations,
    const std::vector<const prometheus::Collectable*>& others);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_METRICS_H_
