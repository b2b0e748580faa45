#ifndef HEAPSYNC_SERVER_DATA_BULK_CALL_H_
#define HEAPSYNC_SERVER_DATA_BULK_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "base/check.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/stream/bulk_session.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/data/bulk_intake.h"
#include "server/data/bulk_places.h"
#include "server/data/call_rules.h"
#include "server/data/message_workers.h"
#include "server/log/call_log.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

// The gRPC side of one bulk stream: turns gRPC's callbacks into events of a
// BulkSession and performs the operations that it asks for.
//
// The session keeps messages, answers and pauses from overlapping, so that each
// member here is used by one thread at a time. Deletes itself in OnDone(),
// which gRPC calls after Finish() once no other callback runs; callbacks of the
// engine and of the timer hold the session instead.
template <typename Traits>
class BulkCall final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
      public BulkSession::Call {
 public:
  BulkCall(Engines& engines, const Access& access, BulkPlaces& places,
           MessageWorkers& workers, const std::shared_ptr<UnsentBytes>& unsent,
           size_t max_message_bytes, grpc::CallbackServerContext* context)
      : engines_(engines),
        context_(context),
        max_message_bytes_(max_message_bytes),
        places_(places),
        workers_(workers),
        trace_(TraceOf(*context)),
        session_(std::make_shared<BulkSession>(*this, BulkLimits(), unsent)),
        intake_(engines, access, *session_, CredentialsOf(*context), trace_) {
    error_ = intake_.Admit();
    if (!error_.has_value()) error_ = TakePlace();
    const bool refused = error_.has_value();
    // The call may be gone when Start() returns.
    const std::shared_ptr<BulkSession> session = session_;
    if (!places_.streams().Add(session, intake_.caller())) session->End();
    session->Start(refused ? BulkVerdict::kRefused : BulkVerdict::kAccepted,
                   Now());
  }

 private:
  std::optional<CallError> TakePlace() {
    auto taken = places_.Take(intake_.caller(), Now());
    if (auto* error = std::get_if<CallError>(&taken)) return std::move(*error);
    slot_ = std::get<CallSlots::Slot>(std::move(taken));
    return std::nullopt;
  }

  void OnReadDone(bool ok) override {
    if (!ok) return session_->HalfClosed();
    auto opened = ReceivedMessage::Open(incoming_, max_message_bytes_);
    if (!session_->MessageReceived(SizeOf(opened), Now())) return;
    TakeInTurn(std::move(opened));
  }
  void TakeHeld() override {
    auto outcome = intake_.Retry();
    if (outcome.error.has_value() || outcome.wait > Duration::zero()) {
      return Answer(std::move(outcome));
    }
    // Held messages are kept as they came, perhaps compressed.
    TakeInTurn(ReceivedMessage::Open(incoming_, max_message_bytes_));
  }
  void OnWriteDone(bool ok) override {
    session_->Written(ok ? WriteResult::kWritten : WriteResult::kFailed, Now());
  }
  void OnCancel() override { session_->Cancelled(); }
  void OnDone() override {
    places_.streams().Remove(session_);
    delete this;
  }

  using Outcome = typename BulkIntake<Traits>::Outcome;
  using Opened = std::variant<ReceivedMessage, CallError>;

  static size_t SizeOf(const Opened& opened) {
    const auto* const message = std::get_if<ReceivedMessage>(&opened);
    return message == nullptr ? 0 : message->size();
  }

  // Takes in a message, on this thread if it is small. The session keeps the
  // call until it is taken in.
  void TakeInTurn(Opened opened) {
    const size_t bytes = SizeOf(opened);
    if (bytes < MessageWorkers::kLargeMessage) return Answer(Take(opened));
    absl::AnyInvocable<void()> take = [this, opened = std::move(opened)] {
      Answer(Take(opened));
    };
    if (!workers_.Submit(intake_.caller(), bytes, std::move(take))) take();
  }

  Outcome Take(const Opened& opened) {
    if (const auto* error = std::get_if<CallError>(&opened)) {
      return {.error = *error};
    }
    return intake_.Take(std::get<ReceivedMessage>(opened));
  }

  // Tells the session what became of the message; the call may be gone
  // afterwards.
  void Answer(Outcome outcome) {
    if (outcome.wait > Duration::zero()) {
      return session_->MessageHeld(outcome.wait);
    }
    incoming_.Clear();
    error_ = std::move(outcome.error);
    session_->MessageTaken(error_.has_value() ? BulkVerdict::kRefused
                                              : BulkVerdict::kAccepted);
  }

  MonotonicTime Now() const { return engines_.clock().Read().monotonic; }

  void Abort() override { context_->TryCancel(); }
  void Read() override { this->StartRead(&incoming_); }

  void Write(BulkAnswer answer) override {
    typename Traits::BulkResponse response;
    response.set_received(answer.totals.received);
    response.set_accepted(answer.totals.accepted);
    response.set_rejected(answer.totals.rejected);
    response.set_delivered(answer.totals.delivered);
    response.set_dead_lettered(answer.totals.dead_lettered);
    response.set_durable_position(answer.totals.durable_position);
    if (answer.level != BulkLevel::kPreview) {
      response.set_ack_level(answer.level == BulkLevel::kDelivered
                                 ? v1::ACK_LEVEL_DELIVERED
                                 : v1::ACK_LEVEL_DURABLE);
    }
    if (!answer.receipt.empty()) {
      response.set_receipt(intake_.ReceiptOf(std::move(answer.receipt)));
    }
    for (std::string& preview : answer.previews) {
      response.add_preview_json(std::move(preview));
    }
    for (const WarnedItem& item : answer.warned) {
      v1::WarnedItem& warned = *response.add_warned_items();
      warned.set_index(item.index);
      for (const Finding& warning : item.warnings) {
        FillViolation(warning, warned.add_warnings());
      }
    }
    for (const auto& [reason, warnings] : answer.unlisted) {
      v1::UnlistedWarnings& unlisted = *response.add_unlisted_warnings();
      unlisted.set_reason(reason);
      unlisted.set_count(warnings.count);
      unlisted.set_first_index(warnings.first_index);
      unlisted.set_last_index(warnings.last_index);
    }
    outgoing_ = ToByteBuffer(response, answer.refusals);
    this->StartWrite(&outgoing_);
  }

  void Pause(Duration duration) override {
    // A new alarm each time: the function of the last one may still be running.
    // Weak: the alarm keeps its function until it is destroyed itself.
    pause_over_.emplace();
    pause_over_->Set(std::chrono::system_clock::now() + duration,
                     [weak = std::weak_ptr<BulkSession>(session_)](bool) {
                       if (const auto session = weak.lock())
                         session->PauseOver();
                     });
  }

  void Finish(const BulkEnd& end) override {
    const grpc::Status status = StatusOf(end);
    if (CallsAreLogged()) {
      CallSummary call;
      call.destination = std::string(intake_.destination_name());
      if (!intake_.request_id().empty()) {
        call.request_id = Shown(intake_.request_id());
      }
      call.items = end.accepted;
      LogCall(Traits::kBulkField, call, trace_, status);
    }
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>::Finish(status);
  }

  grpc::Status StatusOf(const BulkEnd& end) const {
    switch (end.reason) {
      case BulkEnd::Reason::kComplete:
        return grpc::Status::OK;
      case BulkEnd::Reason::kRefused:
        return error_->ToStatus();
      case BulkEnd::Reason::kNotStored:
        return NotStored(end.status).ToStatus();
      case BulkEnd::Reason::kShuttingDown:
        return ShuttingDown().ToStatus();
      case BulkEnd::Reason::kSilent:
        return SilentStreamEnded().ToStatus();
      case BulkEnd::Reason::kCancelled:
        return CallError{.code = grpc::StatusCode::CANCELLED,
                         .reason = "CANCELLED",
                         .message = "the client ended the stream",
                         .violations = {}}
            .ToStatus();
    }
    HEAPSYNC_UNREACHABLE();
  }

  Engines& engines_;
  grpc::CallbackServerContext* const context_;
  const size_t max_message_bytes_;
  BulkPlaces& places_;
  MessageWorkers& workers_;
  const std::optional<TraceContext> trace_;
  std::optional<CallSlots::Slot> slot_;  // set by the constructor
  const std::shared_ptr<BulkSession> session_;
  // These belong to the thread that takes in a message.
  BulkIntake<Traits> intake_;
  grpc::ByteBuffer incoming_;
  std::optional<CallError> error_;  // set before a verdict of kRefused
  std::optional<grpc::Alarm> pause_over_;
  // Belongs to the one write in flight.
  grpc::ByteBuffer outgoing_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_BULK_CALL_H_
