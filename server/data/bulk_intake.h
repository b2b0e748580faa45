#ifndef HEAPSYNC_SERVER_DATA_BULK_INTAKE_H_
#define HEAPSYNC_SERVER_DATA_BULK_INTAKE_H_

#include <google/protobuf/arena.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/encoding/repeated_keys.h"
#include "heap_adapter/engines.h"
#include "heap_adapter/stream/bulk_session.h"
#include "server/access/access.h"
#include "server/access/caller.h"
#include "server/data/call_rules.h"
#include "server/wire/rich_status.h"
#include "server/wire/wire_message.h"

namespace heapsync {

// Takes in the messages of one bulk stream: admits its caller, checks settings,
// encodes items and appends them to the engine, reporting each step to the
// session. One thread at a time; the session orders the messages.
template <typename Traits>
class BulkIntake {
 public:
  BulkIntake(Engines& engines, const Access& access, BulkSession& session,
             Credentials credentials, std::optional<TraceContext> trace)
      : engines_(engines),
        access_(access),
        session_(session),
        credentials_(std::move(credentials)),
        trace_(std::move(trace)) {}

  // Identifies the caller, and checks it again for the destination in use.
  // Returns why it is refused, or nullopt.
  std::optional<CallError> Admit() {
    auto admitted = access_.Admit(credentials_, ServiceKind::kData);
    if (auto* refusal = std::get_if<CallError>(&admitted)) {
      return std::move(*refusal);
    }
    caller_ = std::get<Caller>(std::move(admitted));
    if (destination_ != nullptr && !caller_.MayUse(destination_->name)) {
      // By the name that the caller gave: it need not know the default's.
      return DestinationNotAllowed(settings_->destination());
    }
    return std::nullopt;
  }

  struct Outcome {
    std::optional<CallError> error;
    // Not zero: the message is not taken in yet, and Retry() is to be called
    // after this time.
    Duration wait = Duration::zero();
  };

  // Takes in one message. Call it between BulkSession::MessageReceived() and
  // MessageTaken() or MessageHeld().
  Outcome Take(const ReceivedMessage& message) {
    google::protobuf::Arena arena;
    auto* request = google::protobuf::Arena::CreateMessage<Request>(&arena);
    DamagedItems damaged;
    std::vector<Finding> violations =
        ParseWireMessage(message, request, Traits::kBulkField, damaged);
    Outcome outcome;
    // The caller's rights may have been withdrawn since.
    if (!access_.IsCurrent(caller_)) outcome.error = Admit();
    if (!outcome.error.has_value()) outcome.error = FollowDestination();
    if (!outcome.error.has_value() && !violations.empty()) {
      outcome.error = InvalidRequest(std::move(violations));
    }
    if (!outcome.error.has_value()) outcome.error = CheckSettings(*request);
    if (outcome.error.has_value()) return outcome;
    if (!std::exchange(paid_, false)) {
      outcome = Pay(static_cast<uint64_t>(Traits::ItemsOf(*request).size()),
                    message.size());
      if (outcome.error.has_value() || outcome.wait > Duration::zero()) {
        return outcome;
      }
      paid_ = false;
    }
    outcome.error = TakeItems(*request, damaged, message.size());
    return outcome;
  }

  // For a message that Take() did not take in: neither an error nor a wait
  // means that Take() is to be called with it again, and will take it in.
  Outcome Retry() {
    if (!access_.IsCurrent(caller_)) {
      if (auto error = Admit()) return {.error = std::move(error)};
      // Under another rate its payment begins again.
      if (payment_->allowance() != caller_.allowance.get()) return {};
    }
    return Continue();
  }

  // Valid while no message is being taken in.
  bool previews() const {
    return settings_.has_value() && settings_->validate_only();
  }
  const std::string& caller() const { return caller_.name; }
  // REQUIRES: items were taken.
  std::string ReceiptOf(std::vector<SeqRange> items) const {
    return engine_->ReceiptOf(lane_, std::move(items));
  }
  absl::string_view destination_name() const {
    return destination_ == nullptr ? absl::string_view() : destination_->name;
  }
  absl::string_view request_id() const {
    return settings_.has_value() ? settings_->request_id()
                                 : absl::string_view();
  }

 private:
  using Request = typename Traits::BulkRequest;

  static constexpr size_t kChunkItems = 1'000;
  static constexpr size_t kChunkBytes = 512 << 10;

  // Refusals of one message that list all faults of each item. Beyond it they
  // list one each, so that a message of faults makes no answer of a hundred
  // times its size.
  static constexpr size_t kFullRefusalBytes = 128 << 10;

  // Larger: one key for different content is found at a greater distance, for
  // 40 bytes a key and stream.
  static constexpr size_t kMaxOwnKeys = 3'500;

  // Begins to pay for a message.
  Outcome Pay(uint64_t items, size_t bytes) {
    payment_.reset();
    if (caller_.allowance == nullptr) return {};
    payment_.emplace(caller_.allowance, items, bytes);
    return Continue();
  }

  Outcome Continue() {
    // Messages in front may leave, and rules change.
    constexpr Duration kMaxWait = std::chrono::seconds(1);
    const auto left = payment_->Continue(engines_.clock().Read().monotonic);
    if (const auto* refusal = std::get_if<CallError>(&left)) {
      return {.error = *refusal};
    }
    const Duration wait = std::min(std::get<Duration>(left), kMaxWait);
    if (wait == Duration::zero()) {
      payment_.reset();
      paid_ = true;
    }
    return {.error = std::nullopt, .wait = wait};
  }

  // The destination's configuration may have changed, or been removed.
  std::optional<CallError> FollowDestination() {
    if (destination_ == nullptr) return std::nullopt;
    const Destination* now = engines_.FindDestination(destination_->name);
    if (now == nullptr) return UnknownDestination(destination_->name);
    destination_ = now;
    return std::nullopt;
  }

  // The first message carries the settings; later ones may repeat them. Any
  // message may be without items.
  std::optional<CallError> CheckSettings(const Request& request) {
    if (!settings_.has_value()) return TakeSettings(request);
    std::vector<Finding> changed = ChangedSettings(request);
    if (changed.empty()) return std::nullopt;
    return InvalidRequest(std::move(changed));
  }

  std::optional<CallError> TakeSettings(const Request& request) {
    auto destination = DestinationFor(engines_, caller_, request.destination());
    if (auto* refusal = std::get_if<CallError>(&destination)) {
      return std::move(*refusal);
    }
    destination_ = std::get<const Destination*>(destination);
    std::vector<Finding> violations = CheckCallFields(request);
    if (!violations.empty()) return InvalidRequest(std::move(violations));
    if (!request.validate_only()) {
      const absl::StatusOr<Engine*> serving =
          engines_.Serving(destination_->name);
      if (!serving.ok()) return DatabaseAway(serving.status());
      engine_ = *serving;
      lane_ = engine_->LaneFor(*destination_, Traits::kType, caller_.name);
    }
    settings_.emplace();
    settings_->set_destination(request.destination());
    settings_->set_ack_level(request.ack_level());
    settings_->set_request_id(request.request_id());
    settings_->set_validate_only(request.validate_only());
    settings_->set_start_index(request.start_index());
    keys_.emplace(KeyScope{.caller = caller_.name,
                           .destination = destination_->name,
                           .request_id = request.request_id()});
    next_index_ = request.start_index();
    BulkLevel level = BulkLevel::kDurable;
    if (request.ack_level() == v1::ACK_LEVEL_DELIVERED) {
      level = BulkLevel::kDelivered;
    }
    if (request.validate_only()) level = BulkLevel::kPreview;
    session_.Configure(level, next_index_);
    return std::nullopt;
  }

  std::vector<Finding> ChangedSettings(const Request& request) const {
    std::vector<Finding> changed;
    const auto check = [&](absl::string_view field, bool differs) {
      if (!differs) return;
      changed.push_back(
          {.field = std::string(field),
           .reason = "NOT_FIRST_MESSAGE",
           .description =
               "may only be set in the first message of the stream"});
    };
    check("destination", !request.destination().empty() &&
                             request.destination() != settings_->destination());
    check("ack_level", request.ack_level() != 0 &&
                           request.ack_level() != settings_->ack_level());
    check("request_id", !request.request_id().empty() &&
                            request.request_id() != settings_->request_id());
    check("validate_only",
          request.validate_only() && !settings_->validate_only());
    check("start_index", request.start_index() != 0 &&
                             request.start_index() != settings_->start_index());
    return changed;
  }

  std::optional<CallError> TakeItems(const Request& request,
                                     DamagedItems& damaged, size_t bytes) {
    const auto& items = Traits::ItemsOf(request);
    ChunkEncoder encoder(destination_->encoding, engines_.clock().Read().wall);
    // JSON is longer than the wire by its quotes and by the keys; a hint only.
    constexpr size_t kMorePerItem = 128;
    const auto count = static_cast<size_t>(items.size());
    encoder.Reserve(std::min(count, kChunkItems),
                    std::min(bytes + count * kMorePerItem, kChunkBytes));
    refusal_bytes_ = 0;
    for (int i = 0; i < items.size(); ++i) {
      const uint64_t index = next_index_++;
      const ItemPath path{.field = Traits::kBulkField, .index = index};
      if (const auto found = damaged.find(i); found != damaged.end()) {
        for (Finding& fault : found->second) {
          fault.field = PathOf(path, fault.field);
        }
        if (!Reject(index, found->second)) return AnswersUnread();
        continue;
      }
      if (refusal_bytes_ >= kFullRefusalBytes) encoder.ListFewFindings();
      const absl::string_view own_key = Traits::OwnKey(items[i]);
      bool reused = false;
      std::optional<IdempotencyKey> key;
      const auto choose_key = [&](const EventContent& content) {
        if (own_key.empty()) {
          key = keys_->At(index, content);
          return key->view();
        }
        reused = own_keys_.IsReused(own_key, content.Digest());
        return own_key;
      };
      Findings findings = Traits::Add(encoder, items[i], path, choose_key);
      if (reused) findings.warnings.push_back(ReusedKey(path));
      if (!findings.ok() && !Reject(index, findings.violations)) {
        return AnswersUnread();
      }
      if (!findings.warnings.empty()) {
        session_.Warn(index, std::move(findings.warnings));
      }
      if (encoder.size() >= kChunkItems || encoder.text_size() >= kChunkBytes) {
        auto error = Append(encoder, ChunkPart::kMiddle);
        if (error.has_value()) return error;
      }
    }
    return Append(encoder, ChunkPart::kEndOfMessage);
  }

  // Path of a field of the item; of the item itself if `field` is empty.
  static std::string PathOf(const ItemPath& item, absl::string_view field) {
    if (field.empty()) return item.ToString();
    return absl::StrCat(item.ToString(), ".", field);
  }

  static Finding ReusedKey(const ItemPath& path) {
    return {.field = PathOf(path, "idempotency_key"),
            .reason = std::string(reason::kIdempotencyKeyReused),
            .description =
                "the key was first used with other content in this stream, and "
                "Heap keeps only the first event of a key"};
  }

  // Hands over the items encoded so far.
  std::optional<CallError> Append(ChunkEncoder& encoder, ChunkPart part) {
    const uint64_t count = encoder.size();
    if (count == 0 || settings_->validate_only()) {
      std::string preview;
      if (count > 0) {
        preview = BodyOf(destination_->app_id, Traits::kType, encoder.Take());
      }
      session_.AddWithoutAppend(std::move(preview), next_index_, part);
      if (HasRoom()) return std::nullopt;
      return AnswersUnread();
    }
    const absl::StatusOr<Engine*> serving =
        engines_.Serving(destination_->name);
    if (!serving.ok()) return DatabaseAway(serving.status());
    // Another one goes on with the stream that begins after this one.
    if (*serving != engine_)
      return DatabaseAway(absl::UnavailableError(
          "the database of this destination was away: begin the stream again"));
    session_.AddAppend(count, next_index_, part);
    EncodedChunk chunk = encoder.Take();
    chunk.caller = CallerNumber(caller_.name);
    chunk.trace = trace_;
    SettledCallback on_settled;
    if (settings_->ack_level() == v1::ACK_LEVEL_DELIVERED) {
      on_settled = session_.SettledListener();
    }
    const Admission admission = engine_->Append(
        *destination_, lane_, std::move(chunk),
        [session = session_.shared_from_this()](
            absl::StatusOr<SeqRange> range) { session->Durable(range); },
        std::move(on_settled),
        [session = session_.shared_from_this()] {
          return session->IsWaitedFor();
        });
    if (admission.ok()) return std::nullopt;
    session_.AppendFailed();
    return NotStored(admission);
  }

  // False: the unread answers take too much, and the stream must end.
  bool HasRoom() {
    if (session_.HasRoom()) return true;
    session_.DropUnsent();
    return false;
  }

  // False: see HasRoom().
  bool Reject(uint64_t index, const std::vector<Finding>& violations) {
    typename Traits::BulkResponse answer;
    v1::RejectedItem& refusal = *answer.add_rejected_items();
    refusal.set_index(index);
    for (const Finding& violation : violations) {
      FillViolation(violation, refusal.add_violations());
    }
    refusal_bytes_ += answer.ByteSizeLong();
    session_.Reject(index, answer);
    return HasRoom();
  }

  Engines& engines_;
  const Access& access_;
  BulkSession& session_;
  const Credentials credentials_;
  const std::optional<TraceContext> trace_;
  Caller caller_;
  std::optional<MessagePayment> payment_;  // while a message waits
  bool paid_ = false;                      // the message that Take() comes with
  std::optional<Request> settings_;
  const Destination* destination_ = nullptr;
  Engine* engine_ = nullptr;  // of the destination
  LaneId lane_ = 0;
  std::optional<KeySource> keys_;
  RepeatedKeys own_keys_{kMaxOwnKeys};
  uint64_t next_index_ = 0;
  size_t refusal_bytes_ = 0;  // of the message that is taken in
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_BULK_INTAKE_H_
