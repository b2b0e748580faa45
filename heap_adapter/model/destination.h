#ifndef HEAPSYNC_HEAP_ADAPTER_MODEL_DESTINATION_H_
#define HEAPSYNC_HEAP_ADAPTER_MODEL_DESTINATION_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/model/app_id.h"

namespace heapsync {

// Heap's data centers. An App ID exists in one of them; data sent to the other
// one is lost without an error.
enum class Region { kUs, kEu };

struct RegionRow {
  Region region;
  absl::string_view name;
  absl::string_view url;  // scheme and host, no slash at the end
};
// In the order of the enum. The hosts are those of Heap's server-side API
// reference.
inline constexpr std::array<RegionRow, 2> kRegions = {{
    {.region = Region::kUs, .name = "us", .url = "https://heapanalytics.com"},
    {.region = Region::kEu, .name = "eu", .url = "https://c.eu.heap-api.com"},
}};

// The place of a region in kRegions, for arrays with one element per region.
constexpr size_t IndexOf(Region region) { return static_cast<size_t>(region); }

// "us" or "eu".
constexpr absl::string_view Name(Region region) {
  return kRegions[IndexOf(region)].name;
}

constexpr absl::string_view HeapUrl(Region region) {
  return kRegions[IndexOf(region)].url;
}

// Rules for checking and encoding items of one destination.
struct EncodingRules {
  // Nested objects are flattened to "a.b" keys instead of being a violation.
  // Off by default: Heap has no nested values, and invented names should be a
  // deliberate choice.
  bool flatten_nested = false;

  // Names that count as placeholders besides the built-in ones, and exceptions
  // from those, both as FoldName() of encoding/placeholder.h writes them. For
  // identities, account ids, session ids, idempotency keys and emails.
  absl::flat_hash_set<std::string> denied_identities = {};
  absl::flat_hash_set<std::string> allowed_identities = {};

  bool operator==(const EncodingRules&) const = default;
};

// Heap's limits for one App ID. Every limit applies to any window of the given
// length. Zero: no limit. Source: Heap's reference for Bulk Track and Add User
// Properties.
struct HeapLimits {
  uint32_t events_per_minute = 15'000;
  uint32_t events_per_identity_per_minute = 1'000;
  uint32_t user_requests_per_identity_per_30s = 30;

  bool operator==(const HeapLimits&) const = default;
};

// Rules for collecting items into one request.
struct BatchRules {
  // Heap takes at most 1,000 items in one request.
  uint32_t max_items = 1'000;

  // Maximum size of the request body; Heap documents no limit. Larger: fewer
  // requests, but more memory and more data to resend after a failure.
  uint32_t max_bytes = 1 << 20;

  // Linger: maximum wait of the first item for further ones. Larger: fuller
  // batches, later delivery.
  std::chrono::milliseconds max_wait{500};

  bool operator==(const BatchRules&) const = default;
};

// One Heap environment.
struct Destination {
  std::string name;  // 1 to 64 of [a-z0-9_-], starting with a letter or digit
  AppId app_id;
  Region region = Region::kUs;
  EncodingRules encoding;
  HeapLimits limits;
  // The fraction of `limits` for this server, in (0, 1]. Less than one if other
  // senders use the same App ID.
  double limit_share = 1.0;
  BatchRules batch;
  // Approximate maximum size of its backlog in the spool, beyond which new
  // items are rejected. Larger: longer outages are bridged, but one destination
  // may fill the disk for all.
  uint64_t max_queued_mib = 10 << 10;
  // Approximate maximum size of its dead letters in the spool, beyond which new
  // items are rejected until some are replayed or discarded; a single lane is
  // rejected at half of it. What was accepted may still become dead letters.
  // Larger: more is kept for people to look at.
  uint64_t max_dead_letter_mib = 1 << 10;

  bool operator==(const Destination&) const = default;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_MODEL_DESTINATION_H_
