#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_CALL_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_CALL_H_

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "heap_adapter/engine.h"
#include "server/access/access.h"
#include "server/admin/admin_worker.h"
#include "server/log/call_log.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

// The result of an admin RPC.
template <typename Response>
using CallResult = std::variant<Response, CallError>;

// The result of one turn of an RPC's work; none: it goes on in the next.
template <typename Response>
using TurnResult = std::optional<CallResult<Response>>;

// One call of an admin RPC whose work is done by the worker, in turns. It
// deletes itself when gRPC is done with it.
template <typename Request, typename Response>
class AdminCall final : public grpc::ServerUnaryReactor {
 public:
  using Work =
      absl::AnyInvocable<TurnResult<Response>(const Caller&, const Request&)>;

  // `delivering`: the engine that must deliver for the work to make sense;
  // null: any will do.
  AdminCall(AdminWorker& worker, const Access& access, size_t max_message_bytes,
            grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
            const Engine* delivering, Work work)
      : context_(context), response_(response), work_(std::move(work)) {
    auto admitted = access.Admit(CredentialsOf(*context), ServiceKind::kAdmin);
    if (auto* refusal = std::get_if<CallError>(&admitted)) {
      Finish(refusal->ToStatus());
      return;
    }
    caller_ = std::get<Caller>(std::move(admitted));
    if (auto error = ReadRequest(*request, max_message_bytes, &request_)) {
      Finish(error->ToStatus());
    } else if (delivering != nullptr && !delivering->delivers()) {
      Finish(NotDelivering().ToStatus());
    } else if (!worker.Submit(caller_.name, [this] { return TakeTurn(); })) {
      Finish(AdminBusy().ToStatus());
    }
  }

 private:
  AfterTurn TakeTurn() {
    // Nobody waits for it any more.
    if (context_->IsCancelled()) {
      Finish(grpc::Status::CANCELLED);
      return AfterTurn::kDone;
    }
    const TurnResult<Response> result = work_(caller_, request_);
    if (!result.has_value()) return AfterTurn::kGoesOn;
    if (const auto* error = std::get_if<CallError>(&*result)) {
      End(error->ToStatus());
    } else {
      *response_ = ToByteBuffer(std::get<Response>(*result));
      End(grpc::Status::OK);
    }
    return AfterTurn::kDone;
  }

  void End(const grpc::Status& status) {
    std::string destination;
    // An unknown name may be anything, and is not shown.
    if constexpr (requires { request_.destination(); }) {
      if (status.ok()) destination = request_.destination();
    }
    LogAdminCall(Request::descriptor()->name(), caller_.name, destination,
                 status);
    Finish(status);
  }

  void OnDone() override { delete this; }

  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  Work work_;
  Caller caller_;
  Request request_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_ADMIN_ADMIN_CALL_H_
