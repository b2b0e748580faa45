#ifndef HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_
#define HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "server/observe/server_status.h"

namespace heapsync {

// `status` as one JSON object, for the status page and for scripts. Durations
// are in seconds, times are RFC 3339 in UTC, and null means unknown or none.
// If there are more than `most` destinations, the ones that most need attention
// are included, in the configured order; "destinations_total" counts them all.
// App IDs are masked.
std::string StatusJson(const ServerStatus& status, absl::string_view version,
                       size_t most);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_
