#ifndef HEAPSYNC_SERVER_DATA_DATA_SERVICE_H_
#define HEAPSYNC_SERVER_DATA_DATA_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "heap_adapter/engines.h"
#include "heap_adapter/stream/bulk_session.h"
#include "heap_adapter/stream/open_streams.h"
#include "heapsync/v1/heap_sync_service.grpc.pb.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/data/bulk_places.h"
#include "server/data/message_workers.h"

namespace heapsync {

// HeapSyncService over an engine. Its methods take the bytes of the requests
// themselves, so that a message that does not parse gets an error that says
// where it is wrong.
//
// Register it with a grpc::ServerBuilder; it, `engines` and `access` must
// outlive the server. No method blocks a gRPC thread.
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
  // Bounds for open calls; further ones are refused. Larger: more callers
  // can wait for Heap, and each costs memory.
  struct Limits {
    uint32_t calls = 20'000;  // of which half may wait for a delivery
    uint32_t streams = 1'000;
    // The part of the streams, and of the calls that may wait, that one caller
    // may have.
    uint32_t caller_share_percent = 100;
    // A stream that is silent for longer gives up its place if it is needed.
    Duration silent_stream_time = std::chrono::minutes(5);
    // The maximum of one message, inflated.
    size_t message_bytes = 4 << 20;
    // Refusals and previews that wait until their streams read them. Streams
    // that have more than an answer's worth are ended beyond it.
    size_t unsent_bytes = 64 << 20;
    // Threads that take in large messages of streams. More: such messages take
    // more of the processor's cores from all else.
    size_t message_threads =
        std::max(1U, std::thread::hardware_concurrency() / 2);
  };

  DataService(Engines& engines, const Access& access)
      : DataService(engines, access, Limits()) {}
  DataService(Engines& engines, const Access& access, Limits limits)
      : engines_(engines),
        access_(access),
        calls_({.all = limits.calls}),
        waits_(CallSlots::BoundsFor((limits.calls + 1) / 2,
                                    limits.caller_share_percent)),
        places_(
            CallSlots::BoundsFor(limits.streams, limits.caller_share_percent),
            limits.silent_stream_time),
        max_message_bytes_(limits.message_bytes),
        unsent_(std::make_shared<UnsentBytes>(limits.unsent_bytes)),
        workers_({.threads = limits.message_threads}) {}

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
  void EndStreams() { places_.streams().EndAll(); }

  // Answers every call that waits for its delivery with the level that it
  // reached; later ones do not wait. Any thread.
  void EndWaits() { open_waits_.EndAll(); }

  // For metrics.
  const CallSlots& calls() const { return calls_; }
  const CallSlots& waits() const { return waits_; }
  const BulkPlaces& places() const { return places_; }

 private:
  Engines& engines_;
  const Access& access_;
  CallSlots calls_;
  // Calls that wait for Heap, which may be down for hours, leave room for those
  // that do not.
  CallSlots waits_;
  BulkPlaces places_;
  const size_t max_message_bytes_;
  const std::shared_ptr<UnsentBytes> unsent_;
  OpenStreams open_waits_;
  MessageWorkers workers_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_DATA_SERVICE_H_
