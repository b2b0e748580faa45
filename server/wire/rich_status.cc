#include "server/wire/rich_status.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "heap_adapter/engines.h"

namespace heapsync {
namespace {

constexpr char kDomain[] = "heapsync";
constexpr std::chrono::milliseconds kRetryDelay{1'000};
// A refusal's header block on the wire, where the message is percent-encoded
// and the details are base64. nginx gives up on an upstream's headers beyond 4
// KiB and answers UNAVAILABLE, which callers repeat without end; HTTP/2's own
// first frames share that space.
constexpr size_t kMaxHeaderBytes = 3 << 10;
// Names of the headers, their framing and the short ones among them.
constexpr size_t kOtherHeaderBytes = 200;
constexpr size_t kMaxMessageBytes = 512;  // percent-encoded
// A field's path, a description or a name; longer ones are cut.
constexpr size_t kMaxTextBytes = 256;
// Bytes that protobuf adds to an entry of a list, and bytes that the last
// detail and the count of the unlisted violations need.
constexpr size_t kEntryBytes = 4;
constexpr size_t kListBytes = 160;

bool IsEncodedAsItIs(char c) { return c >= ' ' && c <= '~' && c != '%'; }

size_t PercentEncodedBytes(absl::string_view text) {
  size_t bytes = 0;
  for (const char c : text) bytes += IsEncodedAsItIs(c) ? 1 : 3;
  return bytes;
}

// Returns at most the first `bytes` of `text`, cut between two characters, and
// an ellipsis.
std::string Start(absl::string_view text, size_t bytes) {
  const auto continues = [&](size_t i) { return (text[i] & 0xc0) == 0x80; };
  while (bytes > 0 && continues(bytes)) --bytes;
  return absl::StrCat(text.substr(0, bytes), "...");
}

std::string ShortText(absl::string_view text) {
  if (text.size() <= kMaxTextBytes) return std::string(text);
  return Start(text, kMaxTextBytes);
}

std::string ShortMessage(absl::string_view text) {
  size_t encoded = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    encoded += IsEncodedAsItIs(text[i]) ? 1 : 3;
    if (encoded > kMaxMessageBytes) return Start(text, i);
  }
  return std::string(text);
}

// Adds the first violations, while they fit into `max_bytes` of `status`, and
// the number of the others.
void AddBadRequest(const std::vector<Finding>& violations, size_t max_bytes,
                   google::rpc::Status& status) {
  google::rpc::BadRequest bad_request;
  size_t bytes = status.ByteSizeLong() + kListBytes;
  size_t listed = 0;
  for (const Finding& violation : violations) {
    google::rpc::BadRequest::FieldViolation entry;
    entry.set_field(ShortText(violation.field));
    entry.set_description(
        absl::StrCat(violation.reason, ": ", ShortText(violation.description)));
    bytes += entry.ByteSizeLong() + kEntryBytes;
    if (bytes > max_bytes) break;
    *bad_request.add_field_violations() = std::move(entry);
    ++listed;
  }
  if (listed < violations.size()) {
    auto* entry = bad_request.add_field_violations();
    entry->set_description(
        absl::StrCat("MORE_VIOLATIONS: ", violations.size() - listed,
                     " more; use validate_only to see all"));
  }
  status.add_details()->PackFrom(bad_request);
}

// An unknown name may be anything, even an App ID or an identity in the wrong
// field, so only text that looks like a name is repeated.
std::string ShownName(absl::string_view name) {
  constexpr size_t kMaxLength = 64;
  constexpr auto kMaxDigits = 4;
  const auto plain = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' ||
           c == '-';
  };
  const bool harmless = name.size() <= kMaxLength &&
                        std::all_of(name.begin(), name.end(), plain) &&
                        std::count_if(name.begin(), name.end(),
                                      absl::ascii_isdigit) <= kMaxDigits;
  return harmless ? std::string(name) : "(a name that is not shown)";
}

}  // namespace

grpc::Status CallError::ToStatus() const {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(ShortMessage(message));
  google::rpc::ErrorInfo info;
  info.set_domain(kDomain);
  info.set_reason(reason);
  status.add_details()->PackFrom(info);
  if (retry_delay.has_value()) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(retry_delay->count() / 1'000);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(retry_delay->count() % 1'000 * 1'000'000));
    status.add_details()->PackFrom(retry);
  }
  if (!resource_type.empty()) {
    google::rpc::ResourceInfo resource;
    resource.set_resource_type(resource_type);
    resource.set_resource_name(ShortText(resource_name));
    status.add_details()->PackFrom(resource);
  }
  if (!violations.empty()) {
    const size_t text_bytes = kMaxHeaderBytes - kOtherHeaderBytes -
                              PercentEncodedBytes(status.message());
    AddBadRequest(violations, text_bytes / 4 * 3, status);
  }
  return grpc::Status(code, status.message(), status.SerializeAsString());
}

std::string RetryPushback(const CallError& error,
                          std::chrono::system_clock::duration time_left) {
  const bool repeatable =
      error.retry_delay.has_value() && *error.retry_delay < time_left;
  return repeatable ? absl::StrCat(error.retry_delay->count()) : "-1";
}

CallError InvalidRequest(std::vector<Finding> violations) {
  const Finding& first = violations.front();
  std::string message =
      absl::StrCat(first.field.empty() ? "the request" : first.field, ": ",
                   first.description);
  if (violations.size() > 1) {
    absl::StrAppend(&message, " (and ", violations.size() - 1, " more)");
  }
  return {.code = grpc::StatusCode::INVALID_ARGUMENT,
          .reason = "INVALID_REQUEST",
          .message = std::move(message),
          .violations = std::move(violations)};
}

CallError UnknownDestination(absl::string_view name) {
  if (name.empty()) {
    return InvalidRequest(
        {{.field = "destination",
          .reason = "REQUIRED",
          .description = "this server has several destinations and no default; "
                         "name one (ListDestinations lists them)"}});
  }
  const std::string shown = ShownName(name);
  return {.code = grpc::StatusCode::NOT_FOUND,
          .reason = "DESTINATION_NOT_FOUND",
          .message = absl::StrCat("destination \"", shown,
                                  "\" is not configured on this server"),
          .violations = {},
          .resource_type = "destination",
          .resource_name = shown};
}

CallError NotStored(const absl::Status& status) {
  CallError error{.code = grpc::StatusCode::INTERNAL,
                  .reason = "SPOOL_FAILED",
                  .message = std::string(status.message()),
                  .violations = {}};
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      error.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
      error.reason = "SPOOL_FULL";
      error.retry_delay = kRetryDelay;
      break;
    case absl::StatusCode::kUnavailable:
      return ShuttingDown();
    case absl::StatusCode::kAborted:
      error.code = grpc::StatusCode::UNAVAILABLE;
      error.reason = "SERVER_PAUSED";
      error.retry_delay = kRetryDelay;
      break;
    case absl::StatusCode::kCancelled:
      error.code = grpc::StatusCode::CANCELLED;
      error.reason = "CANCELLED";
      break;
    default:
      // This server accepts nothing until it is restarted; another one may.
      error.code = grpc::StatusCode::UNAVAILABLE;
      error.retry_delay = kRetryDelay;
      break;
  }
  return error;
}

CallError NotStored(const Admission& admission) {
  CallError error = NotStored(admission.status);
  if (admission.limit == Admission::Limit::kDestination) {
    error.reason = "DESTINATION_FULL";
  } else if (admission.limit == Admission::Limit::kDeadLetters) {
    error.reason = "DEAD_LETTERS_FULL";
  }
  if (admission.retry_after.has_value()) {
    error.retry_delay = std::chrono::duration_cast<std::chrono::milliseconds>(
        *admission.retry_after);
  }
  return error;
}

CallError DatabaseAway(const absl::Status& why) {
  return {.code = grpc::StatusCode::UNAVAILABLE,
          .reason = "DATABASE_AWAY",
          .message = std::string(why.message()),
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError NotOwner(absl::string_view why) {
  return {.code = grpc::StatusCode::UNAVAILABLE,
          .reason = "NOT_OWNER",
          .message = std::string(why),
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError ShuttingDown() {
  return {.code = grpc::StatusCode::UNAVAILABLE,
          .reason = "SHUTTING_DOWN",
          .message = "the server is shutting down",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError DestinationNotAllowed(absl::string_view name) {
  CallError error{.code = grpc::StatusCode::PERMISSION_DENIED,
                  .reason = "DESTINATION_NOT_ALLOWED",
                  .message =
                      "this caller may not use every destination; name "
                      "one that it may use",
                  .violations = {}};
  if (name.empty()) return error;
  error.resource_type = "destination";
  error.resource_name = ShownName(name);
  error.message = absl::StrCat("this caller may not use destination \"",
                               error.resource_name, "\"");
  return error;
}

CallError CallerRateExceeded(std::chrono::milliseconds retry_delay) {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "CALLER_RATE",
          .message = "this caller sent more items than its rate allows",
          .violations = {},
          .retry_delay = retry_delay};
}

CallError AnswersUnread() {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "ANSWERS_UNREAD",
          .message =
              "the answers of this stream that are not read take too much "
              "memory; read while sending, and resume at the last "
              "durable_position",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError TooManyCalls() {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "TOO_MANY_CALLS",
          .message = "too many calls are open on this server already",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError CallerShareTaken() {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "CALLER_SHARE",
          .message =
              "this caller has as many calls of this kind open as one "
              "caller may have",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError NoConnectionLeft() {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "TOO_MANY_CALLS",
          .message =
              "too many connections with open calls exist on this server "
              "already",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError ConnectionShareTaken() {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "CALLER_SHARE",
          .message =
              "this caller has as many connections with open calls as one "
              "caller may have",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError SilentStreamEnded() {
  return {.code = grpc::StatusCode::UNAVAILABLE,
          .reason = "STREAM_SILENT",
          .message =
              "the stream was silent for long, and its place was needed; go on "
              "from its position on another one",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError NotRead(const absl::Status& status) {
  if (absl::IsCancelled(status)) return ShuttingDown();
  CallError error{
      .code = grpc::StatusCode::INTERNAL,
      .reason = "SPOOL_UNREADABLE",
      .message = absl::StrCat("the spool cannot be read: ", status.message()),
      .violations = {}};
  if (absl::IsUnavailable(status)) {
    error.code = grpc::StatusCode::UNAVAILABLE;
    error.retry_delay = kRetryDelay;
  }
  return error;
}

CallError NotChanged(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return {.code = grpc::StatusCode::UNAVAILABLE,
              .reason = "OWNER_AWAY",
              .message = std::string(status.message()),
              .violations = {},
              .retry_delay = kRetryDelay};
    case absl::StatusCode::kNotFound:
      return {.code = grpc::StatusCode::NOT_FOUND,
              .reason = "DESTINATION_NOT_FOUND",
              .message =
                  "the server that owns the spool does not have this "
                  "destination in its configuration",
              .violations = {}};
    default:
      return NotStored(status);
  }
}

CallError AdminBusy() {
  return {.code = grpc::StatusCode::RESOURCE_EXHAUSTED,
          .reason = "ADMIN_BUSY",
          .message = "too many admin calls wait already",
          .violations = {},
          .retry_delay = kRetryDelay};
}

CallError UnknownReceipt(absl::string_view reason, absl::string_view message,
                         absl::string_view receipt) {
  return {.code = grpc::StatusCode::NOT_FOUND,
          .reason = std::string(reason),
          .message = std::string(message),
          .violations = {},
          .resource_type = "receipt",
          .resource_name = std::string(receipt)};
}

}  // namespace heapsync
