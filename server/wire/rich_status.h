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

// An error of a call, with details that a caller can act on: always
// google.rpc.ErrorInfo, the others where they apply.
struct CallError {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string reason;  // of ErrorInfo: UPPER_SNAKE and stable
  std::string message;
  std::vector<Finding> violations;                       // BadRequest
  std::optional<std::chrono::milliseconds> retry_delay;  // RetryInfo
  std::string resource_type;                             // ResourceInfo
  std::string resource_name;

  // The status, with a google.rpc.Status in its binary details. On the wire its
  // headers have at most 3 KiB, which proxies pass on: long texts are cut, and
  // of the violations the first ones are listed and the others counted.
  grpc::Status ToStatus() const;
};

// Metadata by which a server steers the repetitions that gRPC makes by a
// service config; gRPC reads no RetryInfo.
inline constexpr absl::string_view kRetryPushbackKey = "grpc-retry-pushback-ms";

// Its value for an error of a call that has `time_left` until its deadline: the
// retry delay in milliseconds. "-1" forbids a repetition, because the error has
// no delay, or one after which the caller would see its deadline pass instead
// of this error.
std::string RetryPushback(const CallError& error,
                          std::chrono::system_clock::duration time_left);

// INVALID_ARGUMENT with all violations. REQUIRES: `violations` is not empty.
CallError InvalidRequest(std::vector<Finding> violations);

// NOT_FOUND for a destination that is not configured. INVALID_ARGUMENT if the
// name is empty, since there is no default destination.
CallError UnknownDestination(absl::string_view name);

// The error for a status that the callback of Engine::Append received.
CallError NotStored(const absl::Status& status);
// The error for an append that was not admitted. REQUIRES: !admission.ok().
CallError NotStored(const Admission& admission);

// UNAVAILABLE: the server is stopping; retry with another one or after the
// restart.
CallError ShuttingDown();

// UNAVAILABLE: another server owns the shard, or none does at the moment. `why`
// is the message.
CallError NotOwner(absl::string_view why);
// One of the databases of a shared spool is away, and others are not.
CallError DatabaseAway(const absl::Status& why);
// The same for a call that only the server that delivers can answer.

// PERMISSION_DENIED: the caller may not use this destination. With an empty
// name: it must name one that it may use.
CallError DestinationNotAllowed(absl::string_view name);

// RESOURCE_EXHAUSTED: the caller exceeded its rate.
CallError CallerRateExceeded(std::chrono::milliseconds retry_delay);

// RESOURCE_EXHAUSTED: the unread answers of a stream, and those of all, take
// too much memory.
CallError AnswersUnread();

// RESOURCE_EXHAUSTED: the maximum number of open calls is reached.
CallError TooManyCalls();

// RESOURCE_EXHAUSTED: this caller has as many open calls of this kind as one
// caller may have.
CallError CallerShareTaken();

// RESOURCE_EXHAUSTED: a new connection has no place among those with admitted
// calls, or not among its caller's, and all that could give way have open
// calls.
CallError NoConnectionLeft();
CallError ConnectionShareTaken();

// UNAVAILABLE: the stream waited for its client for long, and its place was
// needed. Another stream may go on from its position.
CallError SilentStreamEnded();

// The spool could not be read: INTERNAL, or UNAVAILABLE if it is in a database
// that is away. kCancelled: the server is stopping.
CallError NotRead(const absl::Status& status);

// The error for a change that an engine was asked for, and that perhaps another
// server should have made.
CallError NotChanged(const absl::Status& status);

// RESOURCE_EXHAUSTED: the maximum number of concurrent admin calls is reached.
CallError AdminBusy();

// NOT_FOUND for a receipt, or an id of a dead letter, that is unknown to this
// server. `reason` is that of ErrorInfo.
CallError UnknownReceipt(absl::string_view reason, absl::string_view message,
                         absl::string_view receipt);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_WIRE_RICH_STATUS_H_
