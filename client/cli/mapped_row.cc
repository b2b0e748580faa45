#include "client/cli/mapped_row.h"

#include <utility>

namespace heapsync {

absl::string_view Name(ItemType type) {
  switch (type) {
    case ItemType::kTrack:
      return "track";
    case ItemType::kUser:
      return "user";
    case ItemType::kAccount:
      return "account";
  }
  return "";
}

template <>
v1::TrackEvent ToItem(MappedRow row) {
  v1::TrackEvent item;
  item.set_identity(std::move(row.identity));
  item.set_user_id(std::move(row.user_id));
  item.set_event(std::move(row.event));
  item.set_session_id(std::move(row.session_id));
  item.set_idempotency_key(std::move(row.idempotency_key));
  if (row.timestamp) *item.mutable_timestamp() = *row.timestamp;
  if (row.properties.fields_size() > 0) {
    *item.mutable_properties() = std::move(row.properties);
  }
  return item;
}

template <>
v1::UserProperties ToItem(MappedRow row) {
  v1::UserProperties item;
  item.set_identity(std::move(row.identity));
  item.set_email(std::move(row.email));
  if (row.properties.fields_size() > 0) {
    *item.mutable_properties() = std::move(row.properties);
  }
  return item;
}

template <>
v1::AccountProperties ToItem(MappedRow row) {
  v1::AccountProperties item;
  item.set_account_id(std::move(row.account_id));
  if (row.properties.fields_size() > 0) {
    *item.mutable_properties() = std::move(row.properties);
  }
  return item;
}

}  // namespace heapsync
