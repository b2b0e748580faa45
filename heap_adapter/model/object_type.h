#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_OBJECT_TYPE_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_OBJECT_TYPE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/destination.h"

namespace heapsync {

// The kinds of items that Heap takes. The numbers are stored on disk, and are
// those of v1::ItemType.
enum class ObjectType : uint8_t {
  kTrackEvent = 1,
  kUserProperties = 2,
  kAccountProperties = 3,
};

// The unit in which Heap limits a type.
enum class LimitedUnit { kItems, kRequests, kNothing };

// Heap's limit on one type: in any window of this length.
struct TypeLimit {
  LimitedUnit unit = LimitedUnit::kNothing;
  std::chrono::seconds window{0};
  // The limits of the whole App ID and of one identity; null: there is none.
  uint32_t HeapLimits::*total = nullptr;
  uint32_t HeapLimits::*per_identity = nullptr;
};

// Everything that distinguishes one type of items from another, but for how an
// item is encoded.
struct TypePolicy {
  ObjectType type;
  absl::string_view name;        // for metrics, logs and tables
  absl::string_view short_name;  // for command lines
  absl::string_view heap_path;   // of the bulk endpoint
  absl::string_view array_key;   // in the body of a bulk request
  // The field of an item that names its subject: a user or an account.
  absl::string_view subject_field;
  // Updates of one identity are joined into one object, stay in order and are
  // never in flight twice. Otherwise each item travels on its own.
  bool coalesces;
  // Each caller with a name may have a lane of its own. Not for types whose
  // updates must stay in order over all callers.
  bool lane_per_caller;
  TypeLimit limit;
};

// A new type is a new number and a new row. In the order of the numbers, which
// count from 1. Windows and units as in Heap's reference for Bulk Track and Add
// User Properties.
inline constexpr std::array<TypePolicy, 3> kTypePolicies = {{
    {.type = ObjectType::kTrackEvent,
     .name = "track_event",
     .short_name = "track",
     .heap_path = "/api/track",
     .array_key = "events",
     .subject_field = "identity",
     .coalesces = false,
     .lane_per_caller = true,
     .limit = {.unit = LimitedUnit::kItems,
               .window = std::chrono::seconds(60),
               .total = &HeapLimits::events_per_minute,
               .per_identity = &HeapLimits::events_per_identity_per_minute}},
    {.type = ObjectType::kUserProperties,
     .name = "user_properties",
     .short_name = "user",
     .heap_path = "/api/add_user_properties",
     .array_key = "users",
     .subject_field = "identity",
     .coalesces = true,
     .lane_per_caller = false,
     .limit = {.unit = LimitedUnit::kRequests,
               .window = std::chrono::seconds(30),
               .per_identity =
                   &HeapLimits::user_requests_per_identity_per_30s}},
    {.type = ObjectType::kAccountProperties,
     .name = "account_properties",
     .short_name = "account",
     .heap_path = "/api/add_account_properties",
     .array_key = "accounts",
     .subject_field = "account_id",
     .coalesces = true,
     .lane_per_caller = false,
     .limit = {}},
}};

// All types, in the order of the table.
inline constexpr auto kObjectTypes = [] {
  std::array<ObjectType, kTypePolicies.size()> types{};
  for (size_t i = 0; i < types.size(); ++i) types[i] = kTypePolicies[i].type;
  return types;
}();

// The place of a type in the table, for arrays with one element per type.
size_t IndexOf(ObjectType type);

// The row of a type.
const TypePolicy& PolicyOf(ObjectType type);

// The longest window of any type's limit: after it, no request counts any
// longer.
std::chrono::seconds LongestLimitWindow();

// Columns of the table.
absl::string_view Name(ObjectType type);
absl::string_view HeapPath(ObjectType type);
absl::string_view HeapArrayKey(ObjectType type);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_OBJECT_TYPE_H_
