#ifndef HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_
#define HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_

#include <prometheus/collectable.h>

#include <functional>
#include <string>
#include <vector>

#include "server/observe/cluster_status.h"
#include "server/observe/flow_history.h"
#include "server/observe/http_pages.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/server_status.h"

namespace heapsync {

// Pages of the HTTP port:
//
//   /              status page; loads nothing but /statusz.json
//   /statusz.json  see StatusJson and ParseStatusQuery
//   /metrics       see MetricsText; includes `metrics`
//   /healthz       200, or 503 after a write to the spool failed
//
// `cluster` gives the servers that share the spool, which the first two show;
// null: it is not shared. Any thread.
//
// Everything given by reference must outlive the pages.
HttpPages OperatorPages(StatusReader& status, const FlowHistory& history,
                        std::string version, MetricDestinations& destinations,
                        std::vector<const prometheus::Collectable*> metrics,
                        std::function<ClusterStatus()> cluster = nullptr);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_
