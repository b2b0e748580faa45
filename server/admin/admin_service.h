#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_SERVICE_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>

#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.grpc.pb.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/admin/admin_worker.h"
#include "server/admin/flush_call.h"

namespace heapsync {

// HeapSyncAdminService over an engine. Register it with a grpc::ServerBuilder;
// it and `access` must outlive the server, and the engine must outlive Stop().
// No method blocks a gRPC thread: what waits for the disk does so on a thread
// of the service's own.
class AdminService final
    : public v1::HeapSyncAdminService::WithRawCallbackMethod_ListDestinations<
          v1::HeapSyncAdminService::WithRawCallbackMethod_GetDestination<
              v1::HeapSyncAdminService::WithRawCallbackMethod_GetDelivery<
                  v1::HeapSyncAdminService::WithRawCallbackMethod_Flush<
                      v1::HeapSyncAdminService::WithRawCallbackMethod_PauseDestination<
                          v1::HeapSyncAdminService::
                              WithRawCallbackMethod_ResumeDestination<
                                  v1::HeapSyncAdminService::
                                      WithRawCallbackMethod_ListDeadLetters<
                                          v1::HeapSyncAdminService::
                                              WithRawCallbackMethod_ReplayDeadLetters<
                                                  v1::HeapSyncAdminService::
                                                      WithRawCallbackMethod_DiscardDeadLetters<
                                                          v1::HeapSyncAdminService::
                                                              Service>>>>>>>>> {
 public:
  // `max_message_bytes`: of a request, inflated. `caller_share_percent`: of
  // the flushes, which one caller may have open.
  AdminService(Engines& engines, const Access& access,
               size_t max_message_bytes = 4 << 20,
               uint32_t caller_share_percent = 100);

  // Finishes the calls that wait for the service's thread and takes no more. To
  // be called before the engine goes.
  void Stop() { worker_.Stop(); }

  // For metrics.
  const CallSlots& flushes() const { return flushes_; }

  using Reactor = grpc::ServerUnaryReactor;
  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  Reactor* ListDestinations(Context* context, const Bytes* request,
                            Bytes* response) override;
  Reactor* GetDestination(Context* context, const Bytes* request,
                          Bytes* response) override;
  Reactor* GetDelivery(Context* context, const Bytes* request,
                       Bytes* response) override;
  Reactor* Flush(Context* context, const Bytes* request,
                 Bytes* response) override;
  Reactor* PauseDestination(Context* context, const Bytes* request,
                            Bytes* response) override;
  Reactor* ResumeDestination(Context* context, const Bytes* request,
                             Bytes* response) override;
  Reactor* ListDeadLetters(Context* context, const Bytes* request,
                           Bytes* response) override;
  Reactor* ReplayDeadLetters(Context* context, const Bytes* request,
                             Bytes* response) override;
  Reactor* DiscardDeadLetters(Context* context, const Bytes* request,
                              Bytes* response) override;

 private:
  Engines& engines_;
  const Access& access_;
  const size_t max_message_bytes_;
  CallSlots flushes_;
  AdminWorker worker_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_ADMIN_SERVICE_H_
