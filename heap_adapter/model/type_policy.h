#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_TYPE_POLICY_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_TYPE_POLICY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"

namespace heapsync {

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
// item is encoded. A new type is a new row.
struct TypePolicy {
  ObjectType type;
  absl::string_view name;
  absl::string_view heap_path;  // of the bulk endpoint
  absl::string_view array_key;  // in the body of a bulk request
  // Updates of one identity are joined into one object, stay in order and are
  // never in flight twice. Otherwise each item travels on its own.
  bool coalesces;
  // Each caller with a name may have a lane of its own. Not for types whose
  // updates must stay in order over all callers.
  bool lane_per_caller;
  TypeLimit limit;
};

// The row of a type.
const TypePolicy& PolicyOf(ObjectType type);

// The place of a type in kObjectTypes, for arrays with one element per type.
size_t IndexOf(ObjectType type);

// The longest window of any type's limit: after it, no request counts any
// longer.
std::chrono::seconds LongestLimitWindow();

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_TYPE_POLICY_H_
