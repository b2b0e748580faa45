#ifndef HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_
#define HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_

#include <prometheus/collectable.h>

#include <functional>
#include <string>
#include <vector>

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
// `not_delivering` says why this server does not deliver, which the first two
// show; empty: it does. Any thread; null: it always does.
//
// Everything given by reference must outlive the pages.
HttpPages OperatorPages(StatusReader& status, const FlowHistory& history,
                        std::string version, MetricDestinations& destinations,
                        std::vector<const prometheus::Collectable*> metrics,
                        std::function<std::string()> not_delivering = nullptr);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_
