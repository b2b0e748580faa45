#ifndef HEAPSYNC_SERVER_DATA_UNARY_CALL_H_
#define HEAPSYNC_SERVER_DATA_UNARY_CALL_H_

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/stream/open_streams.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/access/caller.h"
#include "server/data/call_rules.h"
#include "server/data/delivery_wait.h"
#include "server/log/call_log.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

// One call of a unary data RPC.
//
// Most end as soon as their item is durable and need not hear of a
// cancellation. gRPC's default reactor serves them: it saves the change of
// threads that the end of a reactor of one's own takes. Those that wait for
// Heap have a reactor that listens.
template <typename Traits>
class UnaryCall final {
 public:
  // Begins a call; what it returns is for gRPC.
  static grpc::ServerUnaryReactor* Start(Engines& engines, const Access& access,
                                         CallSlots& slots, CallSlots& waits,
                                         OpenStreams& open_waits,
                                         size_t max_message_bytes,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) {
    auto* const call = new UnaryCall(engines, waits, open_waits,
                                     max_message_bytes, context, response);
    std::optional<CallError> error = call->Admit(access, slots);
    if (!error.has_value()) error = call->Prepare(*request);
    grpc::ServerUnaryReactor* const reactor = call->listener_.has_value()
                                                  ? &*call->listener_
                                                  : context->DefaultReactor();
    call->reactor_ = reactor;
    // The call may be gone afterwards.
    if (error.has_value()) {
      call->Refuse(*error);
    } else {
      call->Proceed();
    }
    return reactor;
  }

 private:
  using Response = typename Traits::UnaryResponse;

  class Listener final : public grpc::ServerUnaryReactor {
   public:
    explicit Listener(UnaryCall& call) : call_(call) {}
    void OnCancel() override { call_.wait_->Cancel(); }
    void OnDone() override {
      call_.open_waits_.Remove(call_.wait_);
      delete &call_;
    }

   private:
    UnaryCall& call_;
  };

  UnaryCall(Engines& engines, CallSlots& waits, OpenStreams& open_waits,
            size_t max_message_bytes, grpc::CallbackServerContext* context,
            grpc::ByteBuffer* response)
      : engines_(engines),
        max_message_bytes_(max_message_bytes),
        context_(context),
        response_(response),
        waits_(waits),
        open_waits_(open_waits) {}

  // Returns why the call must be refused, or none.
  std::optional<CallError> Admit(const Access& access, CallSlots& slots) {
    auto slot = slots.Take();
    if (const auto* none = std::get_if<CallSlots::Shortage>(&slot)) {
      return NoSlot(*none);
    }
    slot_ = std::get<CallSlots::Slot>(std::move(slot));
    auto admitted = access.Admit(CredentialsOf(*context_), ServiceKind::kData);
    if (auto* refusal = std::get_if<CallError>(&admitted)) {
      return std::move(*refusal);
    }
    caller_ = std::get<Caller>(std::move(admitted));
    return std::nullopt;
  }

  // Reads the request. Returns why it is refused, or nothing if Proceed() may
  // follow.
  std::optional<CallError> Prepare(const grpc::ByteBuffer& bytes) {
    google::protobuf::Arena arena;
    auto* request =
        google::protobuf::Arena::CreateMessage<typename Traits::UnaryRequest>(
            &arena);
    if (auto error = ReadRequest(bytes, max_message_bytes_, request)) {
      return error;
    }
    auto destination =
        DestinationFor(engines_, caller_, request->destination());
    if (auto* refusal = std::get_if<CallError>(&destination)) {
      return std::move(*refusal);
    }
    destination_ = std::get<const Destination*>(destination);
    auto over = caller_.Spend(1, engines_.clock().Read().monotonic);
    if (over.has_value()) return over;

    trace_ = TraceOf(*context_);
    if (CallsAreLogged()) log_.request_id = Shown(request->request_id());

    std::vector<Finding> violations = CheckCallFields(*request);
    ChunkEncoder encoder(destination_->encoding, engines_.clock().Read().wall);
    KeySource keys({.caller = caller_.name,
                    .destination = destination_->name,
                    .request_id = request->request_id()});
    const ItemPath path{.field = Traits::kUnaryField, .index = {}};
    if (!Traits::HasItem(*request)) {
      violations.push_back({.field = std::string(Traits::kUnaryField),
                            .reason = std::string(reason::kRequired),
                            .description = "must be set, and is not"});
    } else {
      const auto& item = Traits::ItemOf(*request);
      answer_.set_idempotency_key(std::string(Traits::OwnKey(item)));
      Findings findings =
          Traits::Add(encoder, item, path, [&](const EventContent& content) {
            if (Traits::OwnKey(item).empty()) {
              answer_.set_idempotency_key(
                  std::string(keys.At(0, content).view()));
            }
            return absl::string_view(answer_.idempotency_key());
          });
      violations.insert(violations.end(),
                        std::make_move_iterator(findings.violations.begin()),
                        std::make_move_iterator(findings.violations.end()));
      for (const Finding& warning : findings.warnings) {
        FillViolation(warning, answer_.add_warnings());
      }
    }
    if (request->validate_only()) {
      Preview(violations, encoder.Take());
      return std::nullopt;
    }
    if (!violations.empty()) return InvalidRequest(std::move(violations));
    chunk_ = encoder.Take();
    chunk_->caller = CallerNumber(caller_.name);
    chunk_->trace = trace_;
    if (request->ack_level() != v1::ACK_LEVEL_DELIVERED) return std::nullopt;
    auto wait_slot = waits_.Take(caller_.name);
    if (const auto* none = std::get_if<CallSlots::Shortage>(&wait_slot)) {
      return NoSlot(*none);
    }
    wait_slot_ = std::get<CallSlots::Slot>(std::move(wait_slot));
    listener_.emplace(*this);
    wait_ = std::make_shared<DeliveryWait>(
        [this](std::optional<Settlement> settlement) { OnEnd(settlement); });
    if (!open_waits_.Add(wait_)) wait_->Cancel();
    return std::nullopt;
  }

  // Stores what was prepared; after a preview there is nothing to store.
  void Proceed() {
    if (!chunk_.has_value()) return Answer();
    SettledCallback on_settled;
    if (wait_ != nullptr) {
      const std::weak_ptr<DeliveryWait> listener = wait_;
      on_settled = {listener, [listener](Settlement settlement) {
                      if (auto wait = listener.lock()) wait->End(settlement);
                    }};
    }
    const absl::StatusOr<Engine*> serving =
        engines_.Serving(destination_->name);
    if (!serving.ok()) return Refuse(DatabaseAway(serving.status()));
    engine_ = *serving;
    lane_ = engine_->LaneFor(*destination_, Traits::kType, caller_.name);
    const Admission admission = engine_->Append(
        *destination_, lane_, *std::exchange(chunk_, std::nullopt),
        [this](absl::StatusOr<SeqRange> items) { OnDurable(items); },
        std::move(on_settled), [this] { return IsWaitedFor(); });
    if (!admission.ok()) Refuse(NotStored(admission));
  }

  // Until the call ends; any thread. After a pause of the process the deadline
  // may have passed without gRPC's having noticed.
  bool IsWaitedFor() const {
    return !context_->IsCancelled() &&
           std::chrono::system_clock::now() < context_->deadline();
  }

  void Preview(const std::vector<Finding>& violations, EncodedChunk chunk) {
    for (const Finding& violation : violations) {
      FillViolation(violation, answer_.add_violations());
    }
    if (violations.empty()) {
      answer_.set_preview_json(
          BodyOf(destination_->app_id, Traits::kType, chunk));
    }
  }

  void OnDurable(const absl::StatusOr<SeqRange>& items) {
    if (!items.ok()) {
      const absl::Status there =
          engines_.CheckShard(engines_.ShardFor(destination_->name));
      return Refuse(there.ok() ? NotStored(items.status())
                               : DatabaseAway(there));
    }
    answer_.set_receipt(engine_->ReceiptOf(lane_, {*items}));
    answer_.set_ack_level(v1::ACK_LEVEL_DURABLE);
    if (wait_ == nullptr) return Answer();
    // The caller learns of the level reached only if the answer comes before it
    // gives up.
    constexpr auto kLead = std::chrono::milliseconds(50);
    auto deadline = context_->deadline();
    if (deadline != std::chrono::system_clock::time_point::max()) {
      deadline -= kLead;
    }
    const std::shared_ptr<DeliveryWait> wait = wait_;
    wait->Begin(deadline);
  }

  void OnEnd(std::optional<Settlement> settlement) {
    if (settlement.has_value() && !settlement->abandoned) {
      answer_.set_ack_level(v1::ACK_LEVEL_DELIVERED);
      answer_.set_outcome(settlement->delivered > 0
                              ? v1::DELIVERY_OUTCOME_DELIVERED
                              : v1::DELIVERY_OUTCOME_DEAD_LETTERED);
    }
    Answer();
  }

  void Answer() {
    *response_ = ToByteBuffer(answer_);
    End(grpc::Status::OK);
  }

  void Refuse(const CallError& error) {
    const auto time_left =
        context_->deadline() - std::chrono::system_clock::now();
    context_->AddTrailingMetadata(std::string(kRetryPushbackKey),
                                  RetryPushback(error, time_left));
    End(error.ToStatus());
  }

  void End(const grpc::Status& status) {
    if (CallsAreLogged()) {
      if (destination_ != nullptr) log_.destination = destination_->name;
      log_.receipt = answer_.receipt();
      log_.items = answer_.receipt().empty() ? 0 : 1;
      LogCall(Traits::kUnaryField, log_, trace_, status);
    }
    const bool ends_itself = !listener_.has_value();
    // After it, the server may be gone with all that counts calls.
    slot_.reset();
    reactor_->Finish(status);
    if (ends_itself) delete this;
  }

  Engines& engines_;
  const size_t max_message_bytes_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  CallSlots& waits_;
  OpenStreams& open_waits_;
  std::optional<CallSlots::Slot> slot_;
  std::optional<CallSlots::Slot> wait_slot_;
  Caller caller_;
  const Destination* destination_ = nullptr;
  Engine* engine_ = nullptr;  // of the destination
  LaneId lane_ = 0;
  Response answer_;
  std::optional<TraceContext> trace_;
  CallSummary log_;
  std::optional<EncodedChunk> chunk_;  // that is to be stored
  std::shared_ptr<DeliveryWait> wait_;
  std::optional<Listener> listener_;
  grpc::ServerUnaryReactor* reactor_ = nullptr;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_UNARY_CALL_H_
