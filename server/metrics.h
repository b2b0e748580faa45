#ifndef HEAPSYNC_SERVER_METRICS_H_
#define HEAPSYNC_SERVER_METRICS_H_

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/server_status.h"

namespace heapsync {

// Everything in Prometheus's text format, version 0.0.4: what `status` tells,
// then what the `others` count. Labels are the names of configured
// destinations, item types and fixed words, so their number is bounded by the
// configuration. Counters of items start at zero with the server. Any thread.
std::string MetricsText(
    const ServerStatus& status, absl::string_view version,
    const std::vector<const prometheus::Collectable*>& others);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_METRICS_H_
