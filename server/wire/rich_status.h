#ifndef HEAPSYNC_SERVER_WIRE_RICH_STATUS_H_
#define HEAPSYNC_SERVER_WIRE_RICH_STATUS_H_

#include <grpcpp/support/status.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/findings.h"

namespace heapsync {

struct Admission;

// What goes wrong in a call, with the details that a caller can act on:
// google.rpc.ErrorInfo always, the others where they apply.
struct CallError {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string reason;  // of ErrorInfo: UPPER_SNAKE and stable
  std::string message;
  std::vector<Finding> violations;                       // BadRequest
  std::optional<std::chrono::milliseconds> retry_delay;  // RetryInfo
  std::string resource_type;                             // ResourceInfo
  std::string resource_name;

  // The status with its google.rpc.Status in the binary details. Details that
  // would not fit the 8 KiB that clients take as metadata are cut, the first
  // violations staying.
  grpc::Status ToStatus() const;
};

// INVALID_ARGUMENT with all violations. REQUIRES: there is at least one.
CallError InvalidRequest(std::vector<Finding> violations);

// NOT_FOUND for a destination that is not configured; with an empty name,
// INVALID_ARGUMENT: there is no default.
CallError UnknownDestination(absl::string_view name);

// What the callback of Engine::Append got.
CallError NotStored(const absl::Status& status);
// What Engine::Append returned. REQUIRES: it is not OK.
CallError NotStored(const Admission& admission);

// UNAVAILABLE: the server stops; another one, or the next, will do.
CallError ShuttingDown();

// PERMISSION_DENIED: the caller may use other destinations only; with an empty
// name, it has to name one of them.
CallError DestinationNotAllowed(absl::string_view name);

// RESOURCE_EXHAUSTED: the caller sent more than its rate allows.
CallError CallerRateExceeded(std::chrono::milliseconds retry_delay);

// RESOURCE_EXHAUSTED: more calls are open than the server takes at once.
CallError TooManyCalls();

// INTERNAL: the spool could not be read.
CallError NotRead(const absl::Status& status);

// RESOURCE_EXHAUSTED: too many admin calls at once.
CallError AdminBusy();

// NOT_FOUND for a receipt, or the id of a dead letter, that means nothing here;
// `reason` says why.
CallError UnknownReceipt(absl::string_view reason, absl::string_view message,
                         absl::string_view receipt);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_WIRE_RICH_STATUS_H_
