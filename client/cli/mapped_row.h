#ifndef HEAPSYNC_CLIENT_CLI_MAPPED_ROW_H_
#define HEAPSYNC_CLIENT_CLI_MAPPED_ROW_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "heap_adapter/model/object_type.h"
#include "heapsync/client/violation.h"

namespace heapsync {

// What a row of an import becomes.
struct MappedRow {
  // A message of items.proto. Null if the row could not be read.
  std::unique_ptr<google::protobuf::Message> item;
  // The columns that hold a NULL, which was left out, and those whose text only
  // looks like one.
  std::vector<std::string> null_columns, null_like_columns;
  // Not empty: the row cannot become an item.
  std::vector<Violation> violations;

  // True if the item has the field, and something is in it.
  bool Has(const std::string& field) const;
};

// REQUIRES: Item is the message of the row's type.
template <typename Item>
Item ToItem(MappedRow row) {
  return std::move(static_cast<Item&>(*row.item));
}

std::unique_ptr<google::protobuf::Message> NewItem(ObjectType type);

// The fields of an item; `properties` is the last one.
std::vector<const google::protobuf::FieldDescriptor*> FieldsOf(
    const google::protobuf::Descriptor& item);

// The fields without which no item is complete and of which `filled` says
// false. A `user_id` stands for an `identity`.
std::vector<std::string> MissingFields(
    ObjectType type, absl::FunctionRef<bool(const std::string&)> filled);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_MAPPED_ROW_H_
