#ifndef HEAPSYNC_SERVER_ADMIN_FLUSH_CALL_H_
#define HEAPSYNC_SERVER_ADMIN_FLUSH_CALL_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <optional>

#include "heap_adapter/engine.h"
#include "heapsync/v1/heap_sync_admin_service.pb.h"
#include "server/access/access.h"
#include "server/data/delivery_wait.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// Counts the flushes that the engine waits for, also those whose callers have
// left: each costs the dispatcher a little with every item that ends.
using OpenFlushes = std::atomic<int>;
inline constexpr int kMaxOpenFlushes = 1'000;

// One call of Flush. It deletes itself when gRPC is done with it.
class FlushCall final : public grpc::ServerUnaryReactor {
 public:
  // `open` is shared with the engine, whose waits may end after the service.
  FlushCall(Engine& engine, const Access& access,
            std::shared_ptr<OpenFlushes> open, size_t max_message_bytes,
            grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

 private:
  // Returns why the call must be refused; none once its response is on its
  // way.
  std::optional<CallError> Begin(Engine& engine, const Access& access,
                                 std::shared_ptr<OpenFlushes> open,
                                 const grpc::ByteBuffer& bytes,
                                 size_t max_message_bytes);
  void End(std::optional<Settlement> settlement);
  void OnCancel() override;
  void OnDone() override { delete this; }

  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  std::shared_ptr<DeliveryWait> wait_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_FLUSH_CALL_H_
