#ifndef HEAPSYNC_SERVER_DATA_SERVICE_H_
#define HEAPSYNC_SERVER_DATA_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "heap_adapter/engine/engine.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"
#include "server/open_streams.h"

namespace heapsync {

// HeapSyncService over an engine. Its methods take the bytes of the requests
// themselves, so that a message that does not parse gets an error that says
// where it is wrong.
//
// Register it with a grpc::ServerBuilder; it and `engine` must outlive the
// server. No method blocks a gRPC thread.
class DataService final
    : public v1::HeapSyncService::WithRawCallbackMethod_TrackEvent<
          v1::HeapSyncService::WithRawCallbackMethod_UserProperties<
              v1::HeapSyncService::WithRawCallbackMethod_AccountProperties<
                  v1::HeapSyncService::WithRawCallbackMethod_BulkTrackEvents<
                      v1::HeapSyncService::
                          WithRawCallbackMethod_BulkUserProperties<
                              v1::HeapSyncService::
                                  WithRawCallbackMethod_BulkAccountProperties<
                                      v1::HeapSyncService::Service>>>>>> {
 public:
  explicit DataService(Engine& engine) : engine_(engine) {}

  grpc::ServerUnaryReactor* TrackEvent(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* UserProperties(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* AccountProperties(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
      grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* BulkTrackEvents(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
  BulkUserProperties(grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
  BulkAccountProperties(grpc::CallbackServerContext* context) override;

  // Ends every bulk stream with UNAVAILABLE and its position; new ones end at
  // once. Any thread.
  void EndStreams() { open_streams_.EndAll(); }

 private:
  Engine& engine_;
  OpenStreams open_streams_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_SERVICE_H_
