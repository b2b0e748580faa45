#include "server/admin/flush_call.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "server/wire/wire_message.h"

namespace heapsync {
namespace {

// The caller learns that the wait was in vain only if the answer comes before
// it gives up.
constexpr auto kLead = std::chrono::milliseconds(50);

CallError StillDelivering() {
  return {.code = grpc::StatusCode::DEADLINE_EXCEEDED,
          .reason = "STILL_DELIVERING",
          .message =
              "the call's time was over before everything was delivered; "
              "deliveries go on",
          .violations = {},
          .retry_delay = std::chrono::seconds(1)};
}

// One flush of the engine's, as long as this is held.
class FlushTicket {
 public:
  FlushTicket(std::shared_ptr<OpenFlushes> open,
              std::shared_ptr<DeliveryWait> wait)
      : open_(std::move(open)), wait_(std::move(wait)) {}
  // If the engine gives the flush up without an end, so does the call.
  ~FlushTicket() {
    open_->fetch_sub(1);
    wait_->End(std::nullopt);
  }
  FlushTicket(const FlushTicket&) = delete;
  FlushTicket& operator=(const FlushTicket&) = delete;

  void End(Settlement settlement) { wait_->End(settlement); }

 private:
  const std::shared_ptr<OpenFlushes> open_;
  const std::shared_ptr<DeliveryWait> wait_;
};

}  // namespace

FlushCall::FlushCall(Engine& engine, const Access& access,
                     std::shared_ptr<OpenFlushes> open,
                     size_t max_message_bytes,
                     grpc::CallbackServerContext* context,
                     const grpc::ByteBuffer* request,
                     grpc::ByteBuffer* response)
    : context_(context), response_(response) {
  if (auto error =
          Begin(engine, access, std::move(open), *request, max_message_bytes)) {
    Finish(error->ToStatus());
  }
}

std::optional<CallError> FlushCall::Begin(Engine& engine, const Access& access,
                                          std::shared_ptr<OpenFlushes> open,
                                          const grpc::ByteBuffer& bytes,
                                          size_t max_message_bytes) {
  auto admitted = access.Admit(CredentialsOf(*context_), ServiceKind::kAdmin);
  if (auto* refusal = std::get_if<CallError>(&admitted)) {
    return std::move(*refusal);
  }
  const Caller& caller = std::get<Caller>(admitted);
  v1::FlushRequest request;
  if (auto error = ReadRequest(bytes, max_message_bytes, &request)) {
    return error;
  }
  const std::string& name = request.destination();
  // Empty means all of them here.
  if (name.empty() && !caller.MayUseAll()) return DestinationNotAllowed(name);
  if (!name.empty()) {
    auto destination = DestinationFor(engine, caller, name);
    if (auto* refusal = std::get_if<CallError>(&destination)) {
      return std::move(*refusal);
    }
  }
  if (open->fetch_add(1) >= kMaxOpenFlushes) {
    open->fetch_sub(1);
    return AdminBusy();
  }
  const auto wait = std::make_shared<DeliveryWait>(
      [this](std::optional<Settlement> settlement) { End(settlement); });
  wait_ = wait;
  auto deadline = context_->deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    deadline -= kLead;
  }
  wait->Begin(deadline);
  // An error drops the ticket, which ends the wait.
  static_cast<void>(engine.Flush(
      name, [ticket = std::make_unique<FlushTicket>(std::move(open), wait)](
                Settlement settlement) { ticket->End(settlement); }));
  return std::nullopt;
}

void FlushCall::End(std::optional<Settlement> settlement) {
  if (!settlement.has_value()) {
    const bool late =
        context_->IsCancelled() ||
        std::chrono::system_clock::now() >= context_->deadline() - kLead;
    return Finish((late ? StillDelivering() : ShuttingDown()).ToStatus());
  }
  v1::FlushResponse response;
  response.set_delivered(settlement->delivered);
  response.set_dead_lettered(settlement->dead_lettered);
  *response_ = ToByteBuffer(response);
  Finish(grpc::Status::OK);
}

void FlushCall::OnCancel() {
  if (wait_ != nullptr) wait_->Cancel();
}

}  // namespace heapsync
