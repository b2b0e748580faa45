#ifndef HEAPSYNC_SERVER_UNARY_CALL_H_
#define HEAPSYNC_SERVER_UNARY_CALL_H_

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "heap_adapter/engine/engine.h"
#include "server/access.h"
#include "server/call_log.h"
#include "server/call_rules.h"
#include "server/call_slots.h"
#include "server/caller.h"
#include "server/delivery_wait.h"
#include "server/item_traits.h"
#include "server/open_streams.h"
#include "server/rich_status.h"
#include "server/wire_message.h"

namespace heapsync {

// One call of a unary data RPC. It deletes itself when gRPC is done with it.
template <typename Traits>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(Engine& engine, const Access& access, CallSlots& slots,
            CallSlots& waits, OpenStreams& open_waits,
            grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* request, grpc::ByteBuffer* response)
      : engine_(engine),
        context_(context),
        response_(response),
        waits_(waits),
        open_waits_(open_waits),
        slot_(slots.Take()) {
    auto admitted = access.Admit(CredentialsOf(*context), ServiceKind::kData);
    std::optional<CallError> error;
    if (!slot_.has_value()) {
      error = TooManyCalls();
    } else if (auto* refusal = std::get_if<CallError>(&admitted)) {
      error = std::move(*refusal);
    } else {
      caller_ = std::get<Caller>(std::move(admitted));
      error = Begin(*request);
    }
    if (error.has_value()) {
      End(error->ToStatus());
    }
  }

 private:
  using Response = typename Traits::UnaryResponse;

  // What stands against the call, or nothing once its answer is on its way.
  std::optional<CallError> Begin(const grpc::ByteBuffer& bytes) {
    google::protobuf::Arena arena;
    auto* request =
        google::protobuf::Arena::CreateMessage<typename Traits::UnaryRequest>(
            &arena);
    std::vector<Finding> violations = ParseWireMessage(bytes, request);
    if (!violations.empty()) return InvalidRequest(std::move(violations));
    auto destination = DestinationFor(engine_, caller_, request->destination());
    if (auto* refusal = std::get_if<CallError>(&destination)) {
      return std::move(*refusal);
    }
    destination_ = std::get<const Destination*>(destination);
    auto over = caller_.Spend(1, engine_.clock().Read().monotonic);
    if (over.has_value()) return over;

    trace_ = TraceOf(*context_);
    if (CallsAreLogged()) log_.request_id = Shown(request->request_id());

    violations = CheckCallFields(*request);
    ChunkEncoder encoder(destination_->encoding, engine_.clock().Read().wall);
    KeySource keys(request->request_id());
    const ItemPath path{.field = Traits::kUnaryField, .index = {}};
    if (!Traits::HasItem(*request)) {
      violations.push_back({.field = std::string(Traits::kUnaryField),
                            .reason = std::string(reason::kRequired),
                            .description = "must be set, and is not"});
    } else {
      const auto& item = Traits::ItemOf(*request);
      std::string key(Traits::OwnKey(item));
      if (Traits::kHasKeys && key.empty()) key = std::string(keys.At(0).view());
      Findings findings = Traits::Add(encoder, item, path, key);
      answer_.set_idempotency_key(std::move(key));
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
    return Store(encoder.Take(), request->ack_level());
  }

  void Preview(const std::vector<Finding>& violations, EncodedChunk chunk) {
    for (const Finding& violation : violations) {
      FillViolation(violation, answer_.add_violations());
    }
    if (violations.empty()) {
      answer_.set_preview_json(PreviewOf(*destination_, Traits::kType, chunk));
    }
    Answer();
  }

  std::optional<CallError> Store(EncodedChunk chunk, v1::AckLevel level) {
    chunk.trace = trace_;
    SettledCallback on_settled;
    if (level == v1::ACK_LEVEL_DELIVERED) {
      wait_slot_ = waits_.Take();
      if (!wait_slot_.has_value()) return TooManyCalls();
      wait_ = std::make_shared<DeliveryWait>(
          [this](std::optional<Settlement> settlement) { OnEnd(settlement); });
      const std::weak_ptr<DeliveryWait> listener = wait_;
      on_settled = {listener, [listener](Settlement settlement) {
                      if (auto wait = listener.lock()) wait->End(settlement);
                    }};
      if (!open_waits_.Add(wait_)) wait_->Cancel();
    }
    lane_ = engine_.LaneFor(*destination_, Traits::kType, caller_.name);
    const absl::Status status = engine_.Append(
        *destination_, lane_, std::move(chunk),
        [this](absl::StatusOr<SeqRange> items) { OnDurable(items); },
        std::move(on_settled));
    if (!status.ok()) return NotStored(status);
    return std::nullopt;
  }

  void OnDurable(const absl::StatusOr<SeqRange>& items) {
    if (!items.ok()) return End(NotStored(items.status()).ToStatus());
    answer_.set_receipt(engine_.ReceiptOf(lane_, {*items}));
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
    if (settlement.has_value()) {
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

  void End(const grpc::Status& status) {
    if (CallsAreLogged()) {
      if (destination_ != nullptr) log_.destination = destination_->name;
      log_.receipt = answer_.receipt();
      log_.items = answer_.receipt().empty() ? 0 : 1;
      LogCall(Traits::kUnaryField, log_, trace_, status);
    }
    Finish(status);
  }

  void OnCancel() override {
    if (wait_ != nullptr) wait_->Cancel();
  }

  void OnDone() override {
    if (wait_ != nullptr) open_waits_.Remove(wait_);
    delete this;
  }

  Engine& engine_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  CallSlots& waits_;
  OpenStreams& open_waits_;
  const std::optional<CallSlots::Slot> slot_;
  std::optional<CallSlots::Slot> wait_slot_;
  Caller caller_;
  const Destination* destination_ = nullptr;
  LaneId lane_ = 0;
  Response answer_;
  std::optional<TraceContext> trace_;
  CallSummary log_;
  std::shared_ptr<DeliveryWait> wait_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_UNARY_CALL_H_
