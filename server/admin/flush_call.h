#ifndef HEAPSYNC_SERVER_ADMIN_FLUSH_CALL_H_
#define HEAPSYNC_SERVER_ADMIN_FLUSH_CALL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>

#include "heap_adapter/engines.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/data/delivery_wait.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// One call of Flush. It deletes itself when gRPC is done with it.
class FlushCall final : public grpc::ServerUnaryReactor {
 public:
  // `slots` bounds the open flushes, each of which costs the dispatcher a
  // little with every item that ends.
  FlushCall(Engines& engines, const Access& access, CallSlots& slots,
            size_t max_message_bytes, grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

 private:
  // Returns why the call must be refused; none once its response is on its
  // way.
  std::optional<CallError> Begin(Engines& engines, const Access& access,
                                 CallSlots& slots,
                                 const grpc::ByteBuffer& bytes,
                                 size_t max_message_bytes);
  void End(std::optional<Settlement> settlement);
  void OnCancel() override;
  void OnDone() override { delete this; }

  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  std::optional<CallSlots::Slot> slot_;
  // The engine only listens as long as this lives, so that a flush that was
  // given up costs nothing more.
  std::shared_ptr<DeliveryWait> wait_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_FLUSH_CALL_H_
