#ifndef HEAPSYNC_SERVER_DATA_BULK_CALL_H_
#define HEAPSYNC_SERVER_DATA_BULK_CALL_H_

#include <google/protobuf/arena.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "heap_adapter/base/mutex.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/receipt.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/access/caller.h"
#include "server/data/call_rules.h"
#include "server/data/item_traits.h"
#include "server/data/open_streams.h"
#include "server/data/unsent_refusals.h"
#include "server/log/call_log.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

// Bounds of one stream. Reading stops at them and goes on below them, so that a
// fast sender is slowed by flow control and a slow reader costs no memory.
struct BulkLimits {
  // Read, not yet durable. Small messages have to be many, or a stream waits
  // for the disk most of the time; the next one is read while there is room.
  int max_in_flight_messages = 32;
  size_t max_in_flight_bytes = 4 << 20;
  size_t max_unsent_bytes = 256 << 10;  // of refusals and previews
  size_t max_receipt_ranges = 16 * kMaxReceiptRanges;  // not yet told
  size_t answer_bytes = 64 << 10;                      // about, of one answer
  int max_items_per_message = 10'000;
  size_t chunk_items = 1'000;
  size_t chunk_bytes = 512 << 10;
};

// One bulk stream: reads, encodes and appends messages as long as the bounds
// allow, and answers with running totals; what happens between two answers goes
// into one. It ends when the client has said all and everything is durable (or
// delivered, where the client asked for that).
//
// gRPC, the committer and the dispatcher call in from their threads. Everything
// they share is under `mutex_`; calls into gRPC are made after it is released.
template <typename Traits>
class BulkCall final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  BulkCall(Engine& engine, const Access& access, CallSlots& slots,
           OpenStreams& open_streams, grpc::CallbackServerContext* context)
      : engine_(engine),
        access_(access),
        open_streams_(open_streams),
        context_(context),
        trace_(TraceOf(*context)),
        slot_(slots.Take()),
        credentials_(CredentialsOf(*context)) {
    state_ = std::make_shared<State>();
    std::optional<CallError> refusal = Admit();
    if (!slot_.has_value()) refusal = TooManyCalls();
    const Duration rest = refusal.has_value() ? Duration::zero() : Spend(0);
    Act act;
    {
      MutexLock lock(state_->mutex);
      state_->call = this;
      if (!open_streams_.Add(state_)) Fail(ShuttingDown());
      if (refusal.has_value()) Fail(*std::move(refusal));
      Rest(rest);
      act = NextAct();
    }
    Perform(std::move(act));
  }

 private:
  using Request = typename Traits::BulkRequest;
  using Response = typename Traits::BulkResponse;

  // What is to be asked of gRPC once the lock is released. While there is
  // something, the call stays alive for it.
  struct Act {
    bool read = false;
    std::optional<grpc::ByteBuffer> write;
    std::optional<grpc::Status> finish;
    bool any() const { return read || write.has_value() || finish.has_value(); }
  };

  // Outlives the call: a delivery may end, or the server, when the stream is
  // long gone.
  struct State final : public EndableStream {
    Mutex mutex;
    BulkCall* call ABSL_GUARDED_BY(mutex) = nullptr;
    grpc::Alarm rest_over ABSL_GUARDED_BY(mutex);

    template <typename Change>
    void WithCall(Change change) {
      Act act;
      BulkCall* alive = nullptr;
      {
        MutexLock lock(mutex);
        if (call == nullptr) return;
        alive = call;
        change(*alive);
        act = alive->NextAct();
      }
      if (act.any()) alive->Perform(std::move(act));
    }

    void End() override {
      WithCall([](BulkCall& stream) { stream.Fail(ShuttingDown()); });
    }
  };

  // A message, or the part of it that became one chunk.
  struct Chunk {
    uint64_t items = 0;
    uint64_t position = 0;  // where the job stands behind it
    bool ends_message = false;
    size_t message_bytes = 0;  // of the message that it ends
  };

  void OnReadDone(bool ok) override {
    if (ok) {
      bool over = false;
      {
        MutexLock lock(state_->mutex);
        // The end may have been decided while the message was on its way;
        // nothing may be started then that could outlive the call.
        over = finished_ || error_.has_value();
        taking_in_ = !over;
      }
      if (!over) return OnMessage();
    }
    Act act;
    {
      MutexLock lock(state_->mutex);
      reading_ = false;
      half_closed_ = half_closed_ || !ok;
      if (!ok && !settings_.has_value() && !error_.has_value()) {
        Fail(InvalidRequest(
            {{.field = std::string(Traits::kBulkField),
              .reason = "EMPTY_STREAM",
              .description = "the stream ended without a message"}}));
      }
      act = NextAct();
    }
    Perform(std::move(act));
  }

  void OnMessage() {
    google::protobuf::Arena arena;
    auto* request = google::protobuf::Arena::CreateMessage<Request>(&arena);
    DamagedItems damaged;
    std::vector<Finding> violations =
        ParseWireMessage(incoming_, request, Traits::kBulkField, damaged);
    message_bytes_ = incoming_.Length();
    incoming_.Clear();
    std::optional<CallError> error;
    Duration rest = Duration::zero();
    // What was allowed may have been taken back since.
    if (!access_.IsCurrent(caller_)) error = Admit();
    if (!error.has_value()) error = FollowDestination();
    if (!error.has_value() && !violations.empty()) {
      error = InvalidRequest(std::move(violations));
    }
    if (!error.has_value()) error = CheckSettings(*request);
    if (!error.has_value()) {
      rest = Spend(static_cast<uint64_t>(Traits::ItemsOf(*request).size()));
      error = TakeItems(*request, damaged);
    }
    Act act;
    {
      MutexLock lock(state_->mutex);
      reading_ = false;
      taking_in_ = false;
      Rest(rest);
      if (error.has_value()) Fail(*std::move(error));
      act = NextAct();
    }
    Perform(std::move(act));
  }

  // Asks who sends, and whether it may use what it uses already.
  std::optional<CallError> Admit() {
    auto admitted = access_.Admit(credentials_, ServiceKind::kData);
    if (auto* refusal = std::get_if<CallError>(&admitted)) {
      return std::move(*refusal);
    }
    caller_ = std::get<Caller>(std::move(admitted));
    if (destination_ != nullptr && !caller_.MayUse(destination_->name)) {
      return DestinationNotAllowed(destination_->name);
    }
    return std::nullopt;
  }

  // What the destination's name means may have changed since, or be gone.
  std::optional<CallError> FollowDestination() {
    if (destination_ == nullptr) return std::nullopt;
    const Destination* now = engine_.FindDestination(destination_->name);
    if (now == nullptr) return UnknownDestination(destination_->name);
    destination_ = now;
    return std::nullopt;
  }

  Duration Spend(uint64_t items) {
    return caller_.SpendAnyway(items, engine_.clock().Read().monotonic);
  }

  // Reads nothing more for so long: gRPC's flow control then slows the sender.
  void Rest(Duration rest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    if (rest <= Duration::zero() || finished_) return;
    resting_ = true;
    // Weak: the alarm keeps its function until it is destroyed itself.
    state_->rest_over.Set(
        std::chrono::system_clock::now() + rest,
        [weak = std::weak_ptr<State>(state_)](bool) {
          const std::shared_ptr<State> state = weak.lock();
          if (state == nullptr) return;
          state->WithCall([](BulkCall& call) { call.resting_ = false; });
        });
  }

  // The settings stand in the first message; later ones may repeat them.
  std::optional<CallError> CheckSettings(const Request& request) {
    if (!settings_.has_value()) {
      auto destination =
          DestinationFor(engine_, caller_, request.destination());
      if (auto* refusal = std::get_if<CallError>(&destination)) {
        return std::move(*refusal);
      }
      destination_ = std::get<const Destination*>(destination);
      std::vector<Finding> violations = CheckCallFields(request);
      if (!violations.empty()) return InvalidRequest(std::move(violations));
      if (!request.validate_only()) {
        lane_ = engine_.LaneFor(*destination_, Traits::kType, caller_.name);
      }
      settings_.emplace();
      settings_->set_destination(request.destination());
      settings_->set_ack_level(request.ack_level());
      settings_->set_request_id(request.request_id());
      settings_->set_validate_only(request.validate_only());
      settings_->set_start_index(request.start_index());
      keys_.emplace(request.request_id());
      next_index_ = request.start_index();
      const bool says_something =
          !request.destination().empty() || request.ack_level() != 0 ||
          !request.request_id().empty() || request.validate_only() ||
          request.start_index() != 0;
      MutexLock lock(state_->mutex);
      position_ = next_index_;
      if (says_something) return std::nullopt;
    } else {
      std::vector<Finding> changed;
      const auto check = [&](absl::string_view field, bool differs) {
        if (!differs) return;
        changed.push_back(
            {.field = std::string(field),
             .reason = "NOT_FIRST_MESSAGE",
             .description =
                 "may only be set in the first message of the stream"});
      };
      check("destination",
            !request.destination().empty() &&
                request.destination() != settings_->destination());
      check("ack_level", request.ack_level() != 0 &&
                             request.ack_level() != settings_->ack_level());
      check("request_id", !request.request_id().empty() &&
                              request.request_id() != settings_->request_id());
      check("validate_only",
            request.validate_only() && !settings_->validate_only());
      check("start_index",
            request.start_index() != 0 &&
                request.start_index() != settings_->start_index());
      if (!changed.empty()) return InvalidRequest(std::move(changed));
    }
    if (Traits::ItemsOf(request).empty()) {
      return InvalidRequest(
          {{.field = std::string(Traits::kBulkField),
            .reason = "EMPTY_BATCH",
            .description = "a message must carry at least one item"}});
    }
    return std::nullopt;
  }

  std::optional<CallError> TakeItems(const Request& request,
                                     DamagedItems& damaged) {
    const auto& items = Traits::ItemsOf(request);
    if (items.size() > limits_.max_items_per_message) {
      return InvalidRequest(
          {{.field = std::string(Traits::kBulkField),
            .reason = "TOO_MANY_ITEMS",
            .description = absl::StrCat(
                "one message may carry ", limits_.max_items_per_message,
                " items, and this one has ", items.size())}});
    }
    encoder_.emplace(destination_->encoding, engine_.clock().Read().wall);
    // JSON is longer than the wire by its quotes and by the keys; a hint only.
    constexpr size_t kMorePerItem = 128;
    const auto count = static_cast<size_t>(items.size());
    encoder_->Reserve(
        std::min(count, limits_.chunk_items),
        std::min(message_bytes_ + count * kMorePerItem, limits_.chunk_bytes));
    for (int i = 0; i < items.size(); ++i) {
      const auto& item = items[i];
      if (const auto found = damaged.find(i); found != damaged.end()) {
        Reject(next_index_++, {.violations = std::move(found->second)});
        continue;
      }
      std::optional<IdempotencyKey> key;
      if (Traits::kHasKeys && Traits::OwnKey(item).empty()) {
        key = keys_->At(next_index_);
      }
      Findings findings = Traits::Add(
          *encoder_, item,
          {.field = Traits::kBulkField, .index = static_cast<uint64_t>(i)},
          key.has_value() ? key->view() : absl::string_view());
      ++next_index_;
      if (!findings.ok()) Reject(next_index_ - 1, findings);
      if (!findings.warnings.empty()) Warn(findings);
      if (encoder_->size() >= limits_.chunk_items ||
          encoder_->text_size() >= limits_.chunk_bytes) {
        if (auto error = Append(false); error.has_value()) return error;
      }
    }
    {
      MutexLock lock(state_->mutex);
      received_ += items.size();
    }
    return Append(true);
  }

  // Hands over what is encoded so far.
  std::optional<CallError> Append(bool ends_message) {
    const uint64_t count = encoder_->size();
    {
      MutexLock lock(state_->mutex);
      if (ends_message) {
        ++in_flight_messages_;
        in_flight_bytes_ += message_bytes_;
      }
      chunks_.push_back({.items = count,
                         .position = next_index_,
                         .ends_message = ends_message,
                         .message_bytes = message_bytes_});
      if (count == 0 || settings_->validate_only()) {
        if (count > 0) {
          std::string preview =
              PreviewOf(*destination_, Traits::kType, encoder_->Take());
          preview_bytes_ += preview.size();
          previews_.push_back(std::move(preview));
        }
        chunks_.back().items = 0;
        SettleFront();
        return std::nullopt;
      }
      chunks_.back().items = count;
      ++in_flight_appends_;
    }
    SettledCallback on_settled;
    if (settings_->ack_level() == v1::ACK_LEVEL_DELIVERED) {
      const std::weak_ptr<State> listener = state_;
      on_settled = {listener, [listener](Settlement settlement) {
                      const std::shared_ptr<State> state = listener.lock();
                      if (state == nullptr) return;
                      state->WithCall(
                          [&](BulkCall& call) { call.OnSettled(settlement); });
                    }};
    }
    EncodedChunk chunk = encoder_->Take();
    chunk.trace = trace_;
    const Admission admission = engine_.Append(
        *destination_, lane_, std::move(chunk),
        [this](absl::StatusOr<SeqRange> range) { OnDurable(range); },
        std::move(on_settled));
    if (admission.ok()) return std::nullopt;
    MutexLock lock(state_->mutex);
    --in_flight_appends_;
    lost_ = true;
    return NotStored(admission);
  }

  void OnDurable(const absl::StatusOr<SeqRange>& range) {
    Act act;
    {
      MutexLock lock(state_->mutex);
      --in_flight_appends_;
      if (range.ok()) {
        Chunk* chunk = FrontAppended();
        accepted_ += chunk->items;
        if (settings_->ack_level() == v1::ACK_LEVEL_DELIVERED) {
          unsettled_ += chunk->items;
        }
        chunk->items = 0;
        AddToReceipt(*range);
        SettleFront();
      } else {
        lost_ = true;
        Fail(NotStored(range.status()));
      }
      act = NextAct();
    }
    Perform(std::move(act));
  }

  void OnSettled(const Settlement& settlement)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    delivered_ += settlement.delivered;
    dead_lettered_ += settlement.dead_lettered;
    unsettled_ -= settlement.delivered + settlement.dead_lettered;
    news_ = true;
  }

  // Appends become durable in the order in which they were made.
  Chunk* FrontAppended() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    for (Chunk& chunk : chunks_) {
      if (chunk.items > 0) return &chunk;
    }
    return nullptr;
  }

  // Moves the position past everything at the front that is durable, rejected
  // or was only looked at.
  void SettleFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    while (!chunks_.empty() && chunks_.front().items == 0) {
      if (!lost_) position_ = chunks_.front().position;
      if (chunks_.front().ends_message) {
        --in_flight_messages_;
        in_flight_bytes_ -= chunks_.front().message_bytes;
      }
      chunks_.pop_front();
      news_ = true;
    }
  }

  void AddToReceipt(SeqRange range)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    if (!receipt_.empty() && receipt_.back().end == range.begin) {
      receipt_.back().end = range.end;
    } else {
      receipt_.push_back(range);
    }
  }

  void Reject(uint64_t index, const Findings& findings) {
    Response answer;
    v1::RejectedItem& refusal = *answer.add_rejected_items();
    refusal.set_index(index);
    for (const Finding& violation : findings.violations) {
      FillViolation(violation, refusal.add_violations());
    }
    MutexLock lock(state_->mutex);
    ++rejected_;
    refusals_.Add(index, answer);
  }

  void Warn(const Findings& findings) {
    constexpr size_t kMaxWarnings = 100;
    MutexLock lock(state_->mutex);
    for (const Finding& warning : findings.warnings) {
      if (warnings_.size() < kMaxWarnings) warnings_.push_back(warning);
    }
  }

  void Fail(CallError error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    if (!error_.has_value()) error_ = std::move(error);
  }

  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    return news_ || !refusals_.empty() || !previews_.empty();
  }

  // Decides what gRPC is to be asked next.
  Act NextAct() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    Act act;
    if (finished_) return act;
    if (!writing_ && HasNews() && !context_->IsCancelled()) {
      writing_ = true;
      act.write = TakeAnswer();
    }
    const bool said_all = half_closed_ || error_.has_value();
    const bool told_all =
        context_->IsCancelled() || (!HasNews() && (unsettled_ == 0 || error_));
    // A read that waits for a client with nothing to say does not hold up the
    // end; a message that is being taken in does.
    if (said_all && told_all && !writing_ && !taking_in_ &&
        in_flight_appends_ == 0 && acting_ == 0) {
      finished_ = true;
      act.finish = error_.has_value() ? error_->ToStatus() : grpc::Status::OK;
      return act;
    }
    if (!said_all && !reading_ && !resting_ &&
        in_flight_messages_ < limits_.max_in_flight_messages &&
        in_flight_bytes_ < limits_.max_in_flight_bytes &&
        refusals_.bytes() + preview_bytes_ < limits_.max_unsent_bytes &&
        receipt_.size() < limits_.max_receipt_ranges) {
      reading_ = true;
      act.read = true;
    }
    if (act.any()) ++acting_;
    return act;
  }

  grpc::ByteBuffer TakeAnswer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    Response answer;
    answer.set_received(received_);
    answer.set_accepted(accepted_);
    answer.set_rejected(rejected_);
    answer.set_delivered(delivered_);
    answer.set_dead_lettered(dead_lettered_);
    if (!settings_->validate_only()) {
      answer.set_ack_level(unsettled_ == 0 && settings_->ack_level() ==
                                                  v1::ACK_LEVEL_DELIVERED
                               ? v1::ACK_LEVEL_DELIVERED
                               : v1::ACK_LEVEL_DURABLE);
    }
    if (!receipt_.empty()) {
      const size_t ranges = std::min(receipt_.size(), kMaxReceiptRanges);
      answer.set_receipt(engine_.ReceiptOf(
          lane_,
          std::vector<SeqRange>(receipt_.begin(), receipt_.begin() + ranges)));
      receipt_.erase(receipt_.begin(), receipt_.begin() + ranges);
    }
    const std::string refusals = refusals_.Take(limits_.answer_bytes);
    // Whoever goes on from this position on another stream hears nothing of
    // what is below it: refusals that do not fit this answer hold it back.
    answer.set_durable_position(
        refusals_.empty() ? position_ : std::min(position_, refusals_.first()));
    size_t bytes = refusals.size();
    while (!previews_.empty() && bytes < limits_.answer_bytes) {
      bytes += previews_.front().size();
      preview_bytes_ -= previews_.front().size();
      answer.add_preview_json(std::move(previews_.front()));
      previews_.pop_front();
    }
    for (const Finding& warning : std::exchange(warnings_, {})) {
      FillViolation(warning, answer.add_warnings());
    }
    news_ = !receipt_.empty();
    return ToByteBuffer(answer, refusals);
  }

  // gRPC may call back from within these, or on another thread, before they
  // return: the count in `acting_` keeps the call alive until this is done.
  void Perform(Act act) {
    while (act.any()) {
      if (act.finish.has_value()) {
        LogEnd(*act.finish);
        return Finish(*act.finish);
      }
      if (act.write.has_value()) {
        outgoing_ = *std::move(act.write);
        StartWrite(&outgoing_);
      }
      if (act.read) StartRead(&incoming_);
      MutexLock lock(state_->mutex);
      --acting_;
      act = NextAct();
    }
  }

  void LogEnd(const grpc::Status& status) {
    if (!CallsAreLogged()) return;
    CallSummary call;
    if (destination_ != nullptr) call.destination = destination_->name;
    if (settings_.has_value()) call.request_id = Shown(settings_->request_id());
    {
      MutexLock lock(state_->mutex);
      call.items = accepted_;
    }
    LogCall(Traits::kBulkField, call, trace_, status);
  }

  void OnWriteDone(bool) override {
    Act act;
    {
      MutexLock lock(state_->mutex);
      writing_ = false;
      act = NextAct();
    }
    Perform(std::move(act));
  }

  void OnCancel() override {
    Act act;
    {
      MutexLock lock(state_->mutex);
      Fail({.code = grpc::StatusCode::CANCELLED,
            .reason = "CANCELLED",
            .message = "the client ended the stream",
            .violations = {}});
      act = NextAct();
    }
    Perform(std::move(act));
  }

  void OnDone() override {
    open_streams_.Remove(state_);
    {
      MutexLock lock(state_->mutex);
      state_->call = nullptr;
      state_->rest_over.Cancel();
    }
    delete this;
  }

  Engine& engine_;
  const Access& access_;
  OpenStreams& open_streams_;
  grpc::CallbackServerContext* const context_;
  const std::optional<TraceContext> trace_;
  const BulkLimits limits_;
  const std::optional<CallSlots::Slot> slot_;
  const Credentials credentials_;

  // Used while a message is taken in: by one thread at a time.
  grpc::ByteBuffer incoming_;
  Caller caller_;
  std::optional<Request> settings_;
  const Destination* destination_ = nullptr;
  LaneId lane_ = 0;
  std::optional<KeySource> keys_;
  std::optional<ChunkEncoder> encoder_;
  uint64_t next_index_ = 0;
  size_t message_bytes_ = 0;  // of the message that is taken in

  grpc::ByteBuffer outgoing_;

  std::shared_ptr<State> state_;
  // Under state_->mutex from here on.
  int acting_ = 0;
  bool reading_ = false;
  bool resting_ = false;
  bool taking_in_ = false;
  bool writing_ = false;
  bool half_closed_ = false;
  bool finished_ = false;
  bool news_ = false;
  bool lost_ = false;  // a chunk was not stored: the position stays before it
  std::optional<CallError> error_;
  std::deque<Chunk> chunks_;
  int in_flight_messages_ = 0;
  size_t in_flight_bytes_ = 0;
  int in_flight_appends_ = 0;
  uint64_t received_ = 0;
  uint64_t accepted_ = 0;
  uint64_t rejected_ = 0;
  uint64_t delivered_ = 0;
  uint64_t dead_lettered_ = 0;
  uint64_t unsettled_ = 0;
  uint64_t position_ = 0;
  std::vector<SeqRange> receipt_;
  UnsentRefusals refusals_;
  std::deque<std::string> previews_;
  std::vector<Finding> warnings_;
  size_t preview_bytes_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_BULK_CALL_H_
