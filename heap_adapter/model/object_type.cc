#include "heap_adapter/model/object_type.h"

#include <algorithm>

#include "base/check.h"

namespace heapsync {
namespace {

constexpr bool CountsFromOne() {
  for (size_t i = 0; i < kObjectTypes.size(); ++i) {
    if (static_cast<size_t>(kObjectTypes[i]) != i + 1) return false;
  }
  return true;
}
static_assert(CountsFromOne());

}  // namespace

size_t IndexOf(ObjectType type) {
  const size_t index = static_cast<size_t>(type) - 1;
  HEAPSYNC_CHECK(index < kTypePolicies.size())
      << "object type " << static_cast<int>(type);
  return index;
}

const TypePolicy& PolicyOf(ObjectType type) {
  return kTypePolicies[IndexOf(type)];
}

std::chrono::seconds LongestLimitWindow() {
  std::chrono::seconds longest{0};
  for (const TypePolicy& policy : kTypePolicies) {
    longest = std::max(longest, policy.limit.window);
  }
  return longest;
}

absl::string_view Name(ObjectType type) { return PolicyOf(type).name; }
absl::string_view HeapPath(ObjectType type) { return PolicyOf(type).heap_path; }
absl::string_view HeapArrayKey(ObjectType type) {
  return PolicyOf(type).array_key;
}

}  // namespace heapsync
