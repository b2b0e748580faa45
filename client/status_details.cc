#include "heapsync/client/status_details.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/grpc_status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"

namespace heapsync {
namespace {

constexpr absl::string_view kTypePrefix = "type.googleapis.com/";

// "VALUE_TOO_LONG" out of "VALUE_TOO_LONG: at most …". google.rpc.BadRequest in
// this version has no field for it.
absl::string_view LeadingReason(absl::string_view description) {
  const size_t colon = description.find(": ");
  if (colon == absl::string_view::npos || colon < 3) return {};
  const absl::string_view head = description.substr(0, colon);
  const bool upper_snake =
      std::all_of(head.begin(), head.end(), [](unsigned char c) {
        return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_';
      });
  return upper_snake ? head : absl::string_view();
}

Violation ToViolation(const google::rpc::BadRequest::FieldViolation& source) {
  const absl::string_view description = source.description();
  const absl::string_view reason = LeadingReason(description);
  return {.field = source.field(),
          .reason = std::string(reason),
          .description = std::string(
              reason.empty() ? description
                             : description.substr(reason.size() + 2))};
}

}  // namespace

absl::Status ToAbslStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : details.details()) {
      result.SetPayload(any.type_url(), absl::Cord(any.value()));
    }
  }
  return result;
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails result;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (!absl::ConsumePrefix(&url, kTypePrefix)) return;
    const std::string bytes(payload);
    if (url == "google.rpc.ErrorInfo") {
      google::rpc::ErrorInfo info;
      if (info.ParseFromString(bytes)) result.reason = info.reason();
    } else if (url == "google.rpc.BadRequest") {
      google::rpc::BadRequest bad_request;
      if (!bad_request.ParseFromString(bytes)) return;
      for (const auto& violation : bad_request.field_violations()) {
        result.violations.push_back(ToViolation(violation));
      }
    } else if (url == "google.rpc.RetryInfo") {
      google::rpc::RetryInfo retry;
      if (!retry.ParseFromString(bytes)) return;
      const auto delay = std::chrono::seconds(retry.retry_delay().seconds()) +
                         std::chrono::nanoseconds(retry.retry_delay().nanos());
      result.retry_delay = std::max(delay, std::chrono::nanoseconds(0));
    } else if (url == "google.rpc.ResourceInfo") {
      google::rpc::ResourceInfo resource;
      if (resource.ParseFromString(bytes)) {
        result.resource = resource.resource_name();
      }
    }
  });
  return result;
}

bool IsRetryable(const absl::Status& status) {
  if (status.ok()) return false;
  const ErrorDetails details = DetailsOf(status);
  if (absl::IsUnavailable(status) || details.retry_delay.has_value()) {
    return true;
  }
  // The server gives a reason with each of its errors; a proxy that resets a
  // stream, or answers itself, gives none.
  return details.reason.empty() &&
         (absl::IsInternal(status) || absl::IsUnknown(status));
}

}  // namespace heapsync
