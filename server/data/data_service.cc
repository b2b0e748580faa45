#include "server/data/data_service.h"

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "server/data/bulk_call.h"
#include "server/data/unary_call.h"

// Calls and streams delete themselves when gRPC is done with them.

namespace heapsync {
namespace {

// The calls are written once over these differences between the types.

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
  static absl::string_view OwnKey(const Item& i) { return i.idempotency_key(); }
  static Findings Add(ChunkEncoder& encoder, const Item& item,
                      const ItemPath& path,
                      ChunkEncoder::KeyChoice choose_key) {
    return encoder.Add(item, path, choose_key);
  }
};

// Properties have no keys: what is sent twice changes nothing.
template <typename PropertiesItem>
struct PropertiesTraits {
  using Item = PropertiesItem;
  static absl::string_view OwnKey(const Item&) { return {}; }
  static Findings Add(ChunkEncoder& encoder, const Item& item,
                      const ItemPath& path, ChunkEncoder::KeyChoice) {
    return encoder.Add(item, path);
  }
};

struct UserPropertiesTraits : PropertiesTraits<v1::UserProperties> {
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
};

struct AccountPropertiesTraits : PropertiesTraits<v1::AccountProperties> {
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
};

}  // namespace

using Bytes = grpc::ByteBuffer;

grpc::ServerUnaryReactor* DataService::TrackEvent(
    grpc::CallbackServerContext* context, const Bytes* request,
    Bytes* response) {
  return UnaryCall<TrackEventTraits>::Start(engines_, access_, calls_, waits_,
                                            open_waits_, max_message_bytes_,
                                            context, request, response);
}

grpc::ServerUnaryReactor* DataService::UserProperties(
    grpc::CallbackServerContext* context, const Bytes* request,
    Bytes* response) {
  return UnaryCall<UserPropertiesTraits>::Start(
      engines_, access_, calls_, waits_, open_waits_, max_message_bytes_,
      context, request, response);
}

grpc::ServerUnaryReactor* DataService::AccountProperties(
    grpc::CallbackServerContext* context, const Bytes* request,
    Bytes* response) {
  return UnaryCall<AccountPropertiesTraits>::Start(
      engines_, access_, calls_, waits_, open_waits_, max_message_bytes_,
      context, request, response);
}

grpc::ServerBidiReactor<Bytes, Bytes>* DataService::BulkTrackEvents(
    grpc::CallbackServerContext* context) {
  return new BulkCall<TrackEventTraits>(engines_, access_, places_, workers_,
                                        unsent_, max_message_bytes_, context);
}

grpc::ServerBidiReactor<Bytes, Bytes>* DataService::BulkUserProperties(
    grpc::CallbackServerContext* context) {
  return new BulkCall<UserPropertiesTraits>(engines_, access_, places_,
                                            workers_, unsent_,
                                            max_message_bytes_, context);
}

grpc::ServerBidiReactor<Bytes, Bytes>* DataService::BulkAccountProperties(
    grpc::CallbackServerContext* context) {
  return new BulkCall<AccountPropertiesTraits>(engines_, access_, places_,
                                               workers_, unsent_,
                                               max_message_bytes_, context);
}

}  // namespace heapsync
