#ifndef HEAPSYNC_SERVER_ADMIN_ADMIN_CALL_H_
#define HEAPSYNC_SERVER_ADMIN_ADMIN_CALL_H_

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "base/promise.h"
#include "heap_adapter/engines.h"
#include "server/access/access.h"
#include "server/admin/admin_worker.h"
#include "server/log/call_log.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

// The result of an admin RPC.
template <typename Response>
using CallResult = std::variant<Response, CallError>;

// The result of one turn of an RPC's work: that of the RPC, or it goes on in
// the next turn, at once or after a wait.
template <typename Response>
using TurnResult = std::variant<TaskGoesOn, TaskWaits, CallResult<Response>>;

// A question that is asked in one turn, and answered before the next.
template <typename Answer>
class Awaited {
 public:
  using Reply = absl::AnyInvocable<void(Answer)>;

  // The result of the turn that asks. `ask` is called after it, on the worker's
  // thread, and hands on the reply that it is given, or drops it.
  TaskWaits For(absl::AnyInvocable<void(Reply)> ask) {
    Promise<Answer> promise;
    answer_ = promise.future();
    return {.begin = [ask = std::move(ask),
                      promise = std::move(promise)](Resume resume) mutable {
      ask([promise = std::move(promise),
           resume = std::move(resume)](Answer answer) mutable {
        promise.Set(std::move(answer));
        resume();
      });
    }};
  }

  bool asked() const { return answer_.has_value(); }
  // None: the reply was dropped, or has not come since the server stops.
  // REQUIRES: asked(), and not called before.
  std::optional<Answer> Take() { return answer_->WaitFor({}); }

 private:
  std::optional<Future<Answer>> answer_;
};

// The one who asks an engine for a change within a call.
Asker AskerOf(const Caller& caller, const grpc::CallbackServerContext& context);

// One call of an admin RPC whose work is done by the worker, in turns. It
// deletes itself when gRPC is done with it.
template <typename Request, typename Response>
class AdminCall final : public grpc::ServerUnaryReactor {
 public:
  using Work =
      absl::AnyInvocable<TurnResult<Response>(const Caller&, const Request&)>;

  AdminCall(AdminWorker& worker, const Access& access, size_t max_message_bytes,
            grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
            Work work)
      : context_(context), response_(response), work_(std::move(work)) {
    auto admitted = access.Admit(CredentialsOf(*context), ServiceKind::kAdmin);
    if (auto* refusal = std::get_if<CallError>(&admitted)) {
      Finish(refusal->ToStatus());
      return;
    }
    caller_ = std::get<Caller>(std::move(admitted));
    if (auto error = ReadRequest(*request, max_message_bytes, &request_)) {
      Finish(error->ToStatus());
    } else if (!worker.Submit(caller_.name, [this] { return TakeTurn(); })) {
      Finish(AdminBusy().ToStatus());
    }
  }

 private:
  AfterTurn TakeTurn() {
    // Nobody waits for it any more.
    if (context_->IsCancelled()) {
      Finish(grpc::Status::CANCELLED);
      return TaskDone();
    }
    TurnResult<Response> result = work_(caller_, request_);
    if (auto* waits = std::get_if<TaskWaits>(&result)) {
      return std::move(*waits);
    }
    if (std::holds_alternative<TaskGoesOn>(result)) return TaskGoesOn();
    const auto& ended = std::get<CallResult<Response>>(result);
    if (const auto* error = std::get_if<CallError>(&ended)) {
      End(error->ToStatus());
    } else {
      *response_ = ToByteBuffer(std::get<Response>(ended));
      End(grpc::Status::OK);
    }
    return TaskDone();
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
