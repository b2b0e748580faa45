#ifndef HEAPSYNC_CLIENT_CLI_MAPPED_ROW_H_
#define HEAPSYNC_CLIENT_CLI_MAPPED_ROW_H_

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "heapsync/client/violation.h"
#include "heapsync/v1/items.pb.h"

namespace heapsync {

// What the rows of an import are.
enum class ItemType { kTrack, kUser, kAccount };

// "track", "user", "account".
absl::string_view Name(ItemType type);

// The fields of one item of any type; those that it lacks are empty.
struct MappedRow {
  std::string identity, user_id, event, email, account_id, session_id,
      idempotency_key;
  std::optional<google::protobuf::Timestamp> timestamp;
  google::protobuf::Struct properties;
  // The columns that hold a NULL, which was left out, and those whose text only
  // looks like one.
  std::vector<std::string> null_columns, null_like_columns;
  // Not empty: the row cannot become an item.
  std::vector<Violation> violations;
};

// Moves the fields into the item's message.
template <typename Item>
Item ToItem(MappedRow row);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_MAPPED_ROW_H_
