#ifndef HEAPSYNC_SERVER_DATA_CALL_RULES_H_
#define HEAPSYNC_SERVER_DATA_CALL_RULES_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/findings.h"
#include "heapsync/v1/heap_sync_service.pb.h"

namespace heapsync {

inline constexpr size_t kMaxRequestId = 255;

// Returns the faults of the fields that every request shares.
template <typename Request>
std::vector<Finding> CheckCallFields(const Request& request) {
  std::vector<Finding> findings;
  if (!v1::AckLevel_IsValid(request.ack_level())) {
    findings.push_back(
        {.field = "ack_level",
         .reason = "UNKNOWN_VALUE",
         .description = absl::StrCat(
             "must be ACK_LEVEL_DURABLE or ACK_LEVEL_DELIVERED, not ",
             static_cast<int>(request.ack_level()))});
  }
  if (request.request_id().size() > kMaxRequestId) {
    findings.push_back({.field = "request_id",
                        .reason = std::string(reason::kValueTooLong),
                        .description = absl::StrCat(
                            "must have at most ", kMaxRequestId,
                            " bytes, and has ", request.request_id().size())});
  }
  return findings;
}

inline void FillViolation(const Finding& finding, v1::FieldViolation* to) {
  to->set_field(finding.field);
  to->set_reason(finding.reason);
  to->set_description(finding.description);
}

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_CALL_RULES_H_
