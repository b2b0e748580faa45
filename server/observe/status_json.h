#ifndef HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_
#define HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/observe/cluster_status.h"
#include "server/observe/flow_history.h"
#include "server/observe/server_status.h"
#include "server/observe/status_query.h"

namespace heapsync {

// `status` as one JSON object, for the status page and for scripts: totals over
// all destinations, and the page of them that `query` asks for. Durations are
// in seconds, times are RFC 3339 in UTC, and null means unknown or none. App
// IDs are masked. `cluster`: the servers that share the spool; null: it is not
// shared.
std::string StatusJson(const ServerStatus& status, const FlowHistory& history,
                       absl::string_view version, const StatusQuery& query,
                       const ClusterStatus* cluster = nullptr);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_
