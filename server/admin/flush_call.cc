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

// The engine's hold on a flush. If it is dropped without an end, the call ends,
// too.
class FlushTicket {
 public:
  explicit FlushTicket(std::weak_ptr<DeliveryWait> wait)
      : wait_(std::move(wait)) {}
  ~FlushTicket() { End(std::nullopt); }
  FlushTicket(const FlushTicket&) = delete;
  FlushTicket& operator=(const FlushTicket&) = delete;

  void End(std::optional<Settlement> settlement) {
    if (const auto wait = wait_.lock()) wait->End(settlement);
  }

 private:
  const std::weak_ptr<DeliveryWait> wait_;
};

}  // namespace

FlushCall::FlushCall(Engines& engines, const Access& access, CallSlots& slots,
                     size_t max_message_bytes,
                     grpc::CallbackServerContext* context,
                     const grpc::ByteBuffer* request,
                     grpc::ByteBuffer* response)
    : context_(context), response_(response) {
  if (auto error = Begin(engines, access, slots, *request, max_message_bytes)) {
    Finish(error->ToStatus());
  }
}

std::optional<CallError> FlushCall::Begin(Engines& engines,
                                          const Access& access,
                                          CallSlots& slots,
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
    auto destination = DestinationFor(engines, caller, name);
    if (auto* refusal = std::get_if<CallError>(&destination)) {
      return std::move(*refusal);
    }
  }
  const absl::Status there = name.empty()
                                 ? engines.CheckAll()
                                 : engines.CheckShard(engines.ShardFor(name));
  if (!there.ok()) return DatabaseAway(there);
  auto slot = slots.Take(caller.name);
  if (const auto* none = std::get_if<CallSlots::Shortage>(&slot)) {
    return *none == CallSlots::Shortage::kAllTaken ? AdminBusy()
                                                   : CallerShareTaken();
  }
  slot_ = std::get<CallSlots::Slot>(std::move(slot));
  const auto wait = std::make_shared<DeliveryWait>(
      [this](std::optional<Settlement> settlement) { End(settlement); });
  wait_ = wait;
  auto deadline = context_->deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    deadline -= kLead;
  }
  wait->Begin(deadline);
  // An error drops the ticket, which ends the wait.
  const std::weak_ptr<DeliveryWait> weak = wait;
  static_cast<void>(engines.Flush(
      name,
      SettledCallback(weak,
                      [ticket = std::make_unique<FlushTicket>(weak)](
                          Settlement settlement) { ticket->End(settlement); }),
      caller.name));
  return std::nullopt;
}

void FlushCall::End(std::optional<Settlement> settlement) {
  if (!settlement.has_value() || settlement->abandoned) {
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
