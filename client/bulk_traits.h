#ifndef HEAPSYNC_CLIENT_BULK_TRAITS_H_
#define HEAPSYNC_CLIENT_BULK_TRAITS_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>

#include "heapsync/v1/heap_sync_service.grpc.pb.h"

namespace heapsync {

// Differences between the three bulk streams: the messages, the name of the
// repeated field, and the method.
template <typename Item>
struct BulkTraits;

template <>
struct BulkTraits<v1::TrackEvent> {
  using Request = v1::BulkTrackEventsRequest;
  using Response = v1::BulkTrackEventsResponse;
  static auto& Items(Request& request) { return *request.mutable_events(); }
  static std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> Open(
      v1::HeapSyncService::Stub& stub, grpc::ClientContext* context) {
    return stub.BulkTrackEvents(context);
  }
};

template <>
struct BulkTraits<v1::UserProperties> {
  using Request = v1::BulkUserPropertiesRequest;
  using Response = v1::BulkUserPropertiesResponse;
  static auto& Items(Request& request) { return *request.mutable_users(); }
  static std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> Open(
      v1::HeapSyncService::Stub& stub, grpc::ClientContext* context) {
    return stub.BulkUserProperties(context);
  }
};

template <>
struct BulkTraits<v1::AccountProperties> {
  using Request = v1::BulkAccountPropertiesRequest;
  using Response = v1::BulkAccountPropertiesResponse;
  static auto& Items(Request& request) { return *request.mutable_accounts(); }
  static std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> Open(
      v1::HeapSyncService::Stub& stub, grpc::ClientContext* context) {
    return stub.BulkAccountProperties(context);
  }
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_BULK_TRAITS_H_
