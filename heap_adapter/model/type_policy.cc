#include "heap_adapter/model/type_policy.h"

#include <algorithm>
#include <array>

#include "heap_adapter/base/check.h"

namespace heapsync {
namespace {

// In the order of kObjectTypes. Windows and units as in Heap's reference for
// Bulk Track and Add User Properties.
constexpr std::array<TypePolicy, kObjectTypes.size()> kPolicies = {{
    {.type = ObjectType::kTrackEvent,
     .name = "track_event",
     .heap_path = "/api/track",
     .array_key = "events",
     .coalesces = false,
     .lane_per_caller = true,
     .limit = {.unit = LimitedUnit::kItems,
               .window = std::chrono::seconds(60),
               .total = &HeapLimits::events_per_minute,
               .per_identity = &HeapLimits::events_per_identity_per_minute}},
    {.type = ObjectType::kUserProperties,
     .name = "user_properties",
     .heap_path = "/api/add_user_properties",
     .array_key = "users",
     .coalesces = true,
     .lane_per_caller = false,
     .limit = {.unit = LimitedUnit::kRequests,
               .window = std::chrono::seconds(30),
               .per_identity =
                   &HeapLimits::user_requests_per_identity_per_30s}},
    {.type = ObjectType::kAccountProperties,
     .name = "account_properties",
     .heap_path = "/api/add_account_properties",
     .array_key = "accounts",
     .coalesces = true,
     .lane_per_caller = false,
     .limit = {}},
}};

constexpr bool InOrder() {
  for (size_t i = 0; i < kPolicies.size(); ++i) {
    if (kPolicies[i].type != kObjectTypes[i]) return false;
  }
  return true;
}
static_assert(InOrder());

}  // namespace

size_t IndexOf(ObjectType type) {
  const auto* const it =
      std::find(kObjectTypes.begin(), kObjectTypes.end(), type);
  HEAPSYNC_CHECK(it != kObjectTypes.end())
      << "object type " << static_cast<int>(type);
  return static_cast<size_t>(it - kObjectTypes.begin());
}

const TypePolicy& PolicyOf(ObjectType type) { return kPolicies[IndexOf(type)]; }

std::chrono::seconds LongestLimitWindow() {
  std::chrono::seconds longest{0};
  for (const TypePolicy& policy : kPolicies) {
    longest = std::max(longest, policy.limit.window);
  }
  return longest;
}

}  // namespace heapsync
