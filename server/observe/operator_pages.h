#ifndef HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_
#define HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "server/observe/http_server.h"
#include "server/observe/metric_destinations.h"
#include "server/observe/server_status.h"

namespace heapsync {

// What the HTTP port serves:
//
//   /              status page; needs nothing but /statusz.json
//   /statusz.json  see StatusJson; "?most=50" shows at most 50 destinations
//   /metrics       see MetricsText, with what `metrics` count
//   /healthz       200, or 503 once the spool failed to write
//
// Everything given by reference must outlive the handlers.
HttpHandlers OperatorPages(StatusReader& status, std::string version,
                           MetricDestinations& destinations,
                           std::vector<const prometheus::Collectable*> metrics);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_OPERATOR_PAGES_H_
