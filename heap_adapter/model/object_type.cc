#include "heap_adapter/model/object_type.h"

#include "heap_adapter/model/type_policy.h"

namespace heapsync {

absl::string_view Name(ObjectType type) { return PolicyOf(type).name; }
absl::string_view HeapPath(ObjectType type) { return PolicyOf(type).heap_path; }
absl::string_view HeapArrayKey(ObjectType type) {
  return PolicyOf(type).array_key;
}

}  // namespace heapsync
