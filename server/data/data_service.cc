#include "server/data/data_service.h"

#include "server/data/bulk_call.h"
#include "server/data/item_traits.h"
#include "server/data/unary_call.h"

// Calls and streams delete themselves when gRPC is done with them.

namespace heapsync {

using Bytes = grpc::ByteBuffer;

grpc::ServerUnaryReactor* DataService::TrackEvent(
    grpc::CallbackServerContext* context, const Bytes* request,
    Bytes* response) {
  return UnaryCall<TrackEventTraits>::Start(engine_, access_, calls_, waits_,
                                            open_waits_, max_message_bytes_,
                                            context, request, response);
}

grpc::ServerUnaryReactor* DataService::UserProperties(
    grpc::CallbackServerContext* context, const Bytes* request,
    Bytes* response) {
  return UnaryCall<UserPropertiesTraits>::Start(
      engine_, access_, calls_, waits_, open_waits_, max_message_bytes_,
      context, request, response);
}

grpc::ServerUnaryReactor* DataService::AccountProperties(
    grpc::CallbackServerContext* context, const Bytes* request,
    Bytes* response) {
  return UnaryCall<AccountPropertiesTraits>::Start(
      engine_, access_, calls_, waits_, open_waits_, max_message_bytes_,
      context, request, response);
}

grpc::ServerBidiReactor<Bytes, Bytes>* DataService::BulkTrackEvents(
    grpc::CallbackServerContext* context) {
  return new BulkCall<TrackEventTraits>(engine_, access_, places_, unsent_,
                                        max_message_bytes_, context);
}

grpc::ServerBidiReactor<Bytes, Bytes>* DataService::BulkUserProperties(
    grpc::CallbackServerContext* context) {
  return new BulkCall<UserPropertiesTraits>(engine_, access_, places_, unsent_,
                                            max_message_bytes_, context);
}

grpc::ServerBidiReactor<Bytes, Bytes>* DataService::BulkAccountProperties(
    grpc::CallbackServerContext* context) {
  return new BulkCall<AccountPropertiesTraits>(
      engine_, access_, places_, unsent_, max_message_bytes_, context);
}

}  // namespace heapsync
