#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_OBJECT_TYPE_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_OBJECT_TYPE_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace heapsync {

// The three kinds of items that Heap takes. The numbers are stored on disk.
enum class ObjectType : uint8_t {
  kTrackEvent = 1,
  kUserProperties = 2,
  kAccountProperties = 3,
};

inline constexpr std::array<ObjectType, 3> kObjectTypes = {
    ObjectType::kTrackEvent, ObjectType::kUserProperties,
    ObjectType::kAccountProperties};

// Name for metrics, logs and tables: "track_event", "user_properties",
// "account_properties".
absl::string_view Name(ObjectType type);

// Path of Heap's bulk endpoint, such as "/api/track".
absl::string_view HeapPath(ObjectType type);

// Key of the array in the body of a bulk request: "events", "users",
// "accounts".
absl::string_view HeapArrayKey(ObjectType type);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_OBJECT_TYPE_H_
