#include "server/log/call_log.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace heapsync {

std::optional<TraceContext> TraceOf(
    const grpc::CallbackServerContext& context) {
  const auto [begin, end] =
      context.client_metadata().equal_range("traceparent");
  if (begin == end || std::next(begin) != end) return std::nullopt;
  return TraceContext::Parse({begin->second.data(), begin->second.size()});
}

std::string Shown(absl::string_view request_id) {
  constexpr size_t kMaxLength = 64;
  const bool harmless =
      request_id.size() <= kMaxLength &&
      std::all_of(request_id.begin(), request_id.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
               absl::StrContains("-_.:", absl::string_view(&c, 1));
      });
  return harmless ? std::string(request_id) : "(not shown)";
}

void LogCall(absl::string_view kind, const CallSummary& call,
             const std::optional<TraceContext>& trace,
             const grpc::Status& status) {
  std::optional<std::string> trace_id;
  if (trace.has_value()) trace_id = trace->TraceId();
  Log(LogSeverity::kDebug, "call ended",
      {{"call", kind},
       {"code", static_cast<int>(status.error_code())},
       {"destination", call.destination},
       {"request_id", call.request_id},
       {"items", call.items},
       {"receipt", call.receipt},
       {"trace_id", trace_id}});
}

void LogAdminCall(absl::string_view request, absl::string_view caller,
                  absl::string_view destination, const grpc::Status& status) {
  const bool changes = absl::StartsWith(request, "Pause") ||
                       absl::StartsWith(request, "Resume") ||
                       absl::StartsWith(request, "Replay") ||
                       absl::StartsWith(request, "Discard");
  Log(changes ? LogSeverity::kInfo : LogSeverity::kDebug, "admin call ended",
      {{"call", absl::StripSuffix(request, "Request")},
       {"code", static_cast<int>(status.error_code())},
       {"caller", caller},
       {"destination", destination}});
}

void LogObeyedCommand(const ObeyedCall& call, const absl::Status& status) {
  Log(LogSeverity::kInfo, "admin call of another server done",
      {{"call", call.call},
       {"code", static_cast<int>(status.code())},
       {"caller", call.caller},
       {"destination", call.destination},
       {"asked_server", call.server}});
}

}  // namespace heapsync
