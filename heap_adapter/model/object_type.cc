#include "heap_adapter/model/object_type.h"

#include "heap_adapter/base/check.h"

namespace heapsync {
namespace {

struct Words {
  absl::string_view name;
  absl::string_view path;
  absl::string_view array_key;
};

Words WordsOf(ObjectType type) {
  switch (type) {
    case ObjectType::kTrackEvent:
      return {"track_event", "/api/track", "events"};
    case ObjectType::kUserProperties:
      return {"user_properties", "/api/add_user_properties", "users"};
    case ObjectType::kAccountProperties:
      return {"account_properties", "/api/add_account_properties", "accounts"};
  }
  HEAPSYNC_UNREACHABLE();
}

}  // namespace

absl::string_view Name(ObjectType type) { return WordsOf(type).name; }
absl::string_view HeapPath(ObjectType type) { return WordsOf(type).path; }
absl::string_view HeapArrayKey(ObjectType type) {
  return WordsOf(type).array_key;
}

}  // namespace heapsync
