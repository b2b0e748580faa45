#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_FIELDS_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_FIELDS_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/access/caller.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// The fields that admin requests and answers have in common.

google::protobuf::Timestamp ToProto(WallTime time);
google::protobuf::Duration ToProto(Duration duration);
v1::ItemType ToProto(ObjectType type);
v1::DeadLetterReason ToProto(DeadLetterReason reason);

// Items or entries that a page holds: the default for zero. A size out of range
// becomes a violation.
uint32_t PageSize(uint32_t requested, std::vector<Finding>& violations);

// The refusal of a receipt under which nothing was ever accepted, or only items
// of destinations that the caller may not use: receipts can be forged, so the
// two must look the same.
inline constexpr char kNeverGiven[] =
    "this server never gave this caller such a receipt";

// A receipt of this server's spool, or what is wrong with it: malformed
// (INVALID_ARGUMENT at `field`), of another spool, or unknown to this caller.
std::variant<Receipt, CallError> ReadReceipt(const Engines& engines,
                                             const Caller& caller,
                                             absl::string_view text,
                                             absl::string_view field);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_ADMIN_FIELDS_H_
