#ifndef HEAPSYNC_SERVER_LOG_CALL_LOG_H_
#define HEAPSYNC_SERVER_LOG_CALL_LOG_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/trace_context.h"
#include "server/log/log.h"

namespace heapsync {

// Trace context of a call; none if its `traceparent` is missing, malformed or
// repeated.
std::optional<TraceContext> TraceOf(const grpc::CallbackServerContext& context);

// A request id as it may be logged. Callers choose it and may put anything
// there, even a person's address, so it is not shown if it is longer than 64
// characters or contains anything but letters, digits and "-_.:".
std::string Shown(absl::string_view request_id);

// Summary of one data call. Kept only while calls are logged.
struct CallSummary {
  std::string destination;
  std::string request_id;  // see Shown()
  std::string receipt;
  uint64_t items = 0;  // accepted
};

// True if calls are logged: at debug level only, because logging a call costs
// more than the call.
inline bool CallsAreLogged() { return Logs(LogSeverity::kDebug); }

// Logs a call that ended with `status`.
void LogCall(absl::string_view kind, const CallSummary& call,
             const std::optional<TraceContext>& trace,
             const grpc::Status& status);

// Logs an admin call; `request` is the name of its message. Calls that change
// something are logged at info level, as an audit trail.
void LogAdminCall(absl::string_view request, absl::string_view caller,
                  absl::string_view destination, const grpc::Status& status);

// A change that this server made because another one was asked for it.
struct ObeyedCall {
  absl::string_view call;         // name of the method
  absl::string_view server;       // that was asked
  absl::string_view caller;       // by whom
  absl::string_view destination;  // of what
};

// Logs such a change at info level, as an audit trail.
void LogObeyedCommand(const ObeyedCall& call, const absl::Status& status);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_CALL_LOG_H_
