#ifndef HEAPSYNC_SERVER_DATA_ITEM_TRAITS_H_
#define HEAPSYNC_SERVER_DATA_ITEM_TRAITS_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/idempotency_key.h"
#include "heap_adapter/model/object_type.h"
#include "heapsync/v1/heap_sync_service.pb.h"

namespace heapsync {

// Differences between the three types of items; the calls are written once
// over these.

// Gives the idempotency keys of a request's items: derived from its scope and
// each item's content, or random where it has no request id.
class KeySource {
 public:
  explicit KeySource(const KeyScope& scope) {
    if (!scope.request_id.empty()) derived_.emplace(scope);
  }
  IdempotencyKey At(uint64_t index, const ContentDigest& content) {
    return derived_.has_value() ? derived_->At(index, content)
                                : IdempotencyKey::Random();
  }

 private:
  std::optional<DerivedKeys> derived_;
};

struct TrackEventTraits {
  using Item = v1::TrackEvent;
  using UnaryRequest = v1::TrackEventRequest;
  using UnaryResponse = v1::TrackEventResponse;
  using BulkRequest = v1::BulkTrackEventsRequest;
  using BulkResponse = v1::BulkTrackEventsResponse;
  static constexpr ObjectType kType = ObjectType::kTrackEvent;
  static constexpr absl::string_view kUnaryField = "event";
  static constexpr absl::string_view kBulkField = "events";

  static bool HasItem(const UnaryRequest& r) { return r.has_event(); }
  static const Item& ItemOf(const UnaryRequest& r) { return r.event(); }
  static const auto& ItemsOf(const BulkRequest& r) { return r.events(); }

  // The key that the caller set for the item; empty: none.
  static constexpr bool kHasKeys = true;
  static absl::string_view OwnKey(const Item& i) { return i.idempotency_key(); }
  static Findings Add(ChunkEncoder& encoder, const Item& item,
                      const ItemPath& path,
                      ChunkEncoder::KeyChoice choose_key) {
    return encoder.Add(item, path, choose_key);
  }
};

struct UserPropertiesTraits {
  using Item = v1::UserProperties;
  using UnaryRequest = v1::UserPropertiesRequest;
  using UnaryResponse = v1::UserPropertiesResponse;
  using BulkRequest = v1::BulkUserPropertiesRequest;
  using BulkResponse = v1::BulkUserPropertiesResponse;
  static constexpr ObjectType kType = ObjectType::kUserProperties;
  static constexpr absl::string_view kUnaryField = "user";
  static constexpr absl::string_view kBulkField = "users";

  static bool HasItem(const UnaryRequest& r) { return r.has_user(); }
  static const Item& ItemOf(const UnaryRequest& r) { return r.user(); }
  static const auto& ItemsOf(const BulkRequest& r) { return r.users(); }

  static constexpr bool kHasKeys = false;
  static absl::string_view OwnKey(const Item&) { return {}; }
  static Findings Add(ChunkEncoder& encoder, const Item& item,
                      const ItemPath& path, ChunkEncoder::KeyChoice) {
    return encoder.Add(item, path);
  }
};

struct AccountPropertiesTraits {
  using Item = v1::AccountProperties;
  using UnaryRequest = v1::AccountPropertiesRequest;
  using UnaryResponse = v1::AccountPropertiesResponse;
  using BulkRequest = v1::BulkAccountPropertiesRequest;
  using BulkResponse = v1::BulkAccountPropertiesResponse;
  static constexpr ObjectType kType = ObjectType::kAccountProperties;
  static constexpr absl::string_view kUnaryField = "account";
  static constexpr absl::string_view kBulkField = "accounts";

  static bool HasItem(const UnaryRequest& r) { return r.has_account(); }
  static const Item& ItemOf(const UnaryRequest& r) { return r.account(); }
  static const auto& ItemsOf(const BulkRequest& r) { return r.accounts(); }

  static constexpr bool kHasKeys = false;
  static absl::string_view OwnKey(const Item&) { return {}; }
  static Findings Add(ChunkEncoder& encoder, const Item& item,
                      const ItemPath& path, ChunkEncoder::KeyChoice) {
    return encoder.Add(item, path);
  }
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_ITEM_TRAITS_H_
