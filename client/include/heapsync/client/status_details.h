#ifndef HEAPSYNC_CLIENT_STATUS_DETAILS_H_
#define HEAPSYNC_CLIENT_STATUS_DETAILS_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "heapsync/client/violation.h"

namespace heapsync {

// The details of an error besides its code and message.
struct ErrorDetails {
  // google.rpc.ErrorInfo: stable, UPPER_SNAKE; empty if absent.
  std::string reason;

  // google.rpc.BadRequest: all faults at once.
  std::vector<Violation> violations;

  // google.rpc.RetryInfo: present where the call is worth repeating, then the
  // shortest wait before that.
  std::optional<std::chrono::nanoseconds> retry_delay;

  // google.rpc.ResourceInfo: what does not exist, such as a destination's name.
  std::string resource;
};

// Decodes the details that Client and BulkWriter attach to their errors.
// Details that are missing or malformed are left empty.
ErrorDetails DetailsOf(const absl::Status& status);

// True if repeating the call unchanged can help: the server or the way to it is
// unavailable, the answer carries a retry delay, or the call broke on its way:
// an INTERNAL or UNKNOWN error without a reason.
bool IsRetryable(const absl::Status& status);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_STATUS_DETAILS_H_
