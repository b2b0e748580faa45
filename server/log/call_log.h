#ifndef HEAPSYNC_SERVER_LOG_CALL_LOG_H_
#define HEAPSYNC_SERVER_LOG_CALL_LOG_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/trace_context.h"
#include "server/log/log.h"

namespace heapsync {

// The trace that a call belongs to. None: it came without a `traceparent`, or
// with a bad one, or with several.
std::optional<TraceContext> TraceOf(const grpc::CallbackServerContext& context);

// A request id as the log may show it. Callers choose it and may put anything
// there, a person's address too; so what is not made of letters, digits and
// "-_.:" alone, or is longer than 64, is not shown.
std::string Shown(absl::string_view request_id);

// What one data call was about. Kept only while calls are logged.
struct CallSummary {
  std::string destination;
  std::string request_id;  // see Shown()
  std::string receipt;
  uint64_t items = 0;  // accepted
};

// Whether calls are logged: at debug level only, since a line for each costs
// more than the call.
inline bool CallsAreLogged() { return Logs(LogSeverity::kDebug); }

// Writes the line of a call that ends with `status`.
void LogCall(absl::string_view kind, const CallSummary& call,
             const std::optional<TraceContext>& trace,
             const grpc::Status& status);

// The line of an admin call, `request` being its message's name. At info level
// for those that change something: who did what must be found later.
void LogAdminCall(absl::string_view request, absl::string_view caller,
                  absl::string_view destination, const grpc::Status& status);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_LOG_CALL_LOG_H_
