#ifndef HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_
#define HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "server/observe/server_status.h"

namespace heapsync {

// `status` as one JSON object, for the status page and for scripts. Durations
// are numbers of seconds, times are RFC 3339 in UTC, null is "not known" or
// "none". Of more than `most` destinations it shows those that need a look
// most, in the configured order; "destinations_total" counts them all. App IDs
// are masked.
std::string StatusJson(const ServerStatus& status, absl::string_view version,
                       size_t most);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_STATUS_JSON_H_
