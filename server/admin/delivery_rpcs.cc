#include "server/admin/delivery_rpcs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/admin/admin_fields.h"

namespace heapsync {
namespace {

// Each costs some reads of the spool.
constexpr uint64_t kItemsInOneTurn = 50;

v1::ItemState StateOf(ItemState state) {
  switch (state) {
    case ItemState::kWaiting:
      return v1::ITEM_STATE_WAITING;
    case ItemState::kDeferred:
      return v1::ITEM_STATE_DEFERRED;
    case ItemState::kIsolated:
      return v1::ITEM_STATE_ISOLATED;
    case ItemState::kInFlight:
      return v1::ITEM_STATE_IN_FLIGHT;
    case ItemState::kDelivered:
      return v1::ITEM_STATE_DELIVERED;
    case ItemState::kCoalesced:
      return v1::ITEM_STATE_COALESCED;
    case ItemState::kDeadLettered:
      return v1::ITEM_STATE_DEAD_LETTERED;
    case ItemState::kReplayed:
      return v1::ITEM_STATE_REPLAYED;
    case ItemState::kDiscarded:
      return v1::ITEM_STATE_DISCARDED;
  }
  HEAPSYNC_UNREACHABLE();
}

v1::AttemptClass ClassOf(ResponseClass response_class) {
  switch (response_class) {
    case ResponseClass::kDelivered:
      return v1::ATTEMPT_CLASS_DELIVERED;
    case ResponseClass::kTransient:
      return v1::ATTEMPT_CLASS_TRANSIENT;
    case ResponseClass::kThrottled:
      return v1::ATTEMPT_CLASS_THROTTLED;
    case ResponseClass::kOversized:
      return v1::ATTEMPT_CLASS_OVERSIZED;
    case ResponseClass::kInvalid:
      return v1::ATTEMPT_CLASS_INVALID;
    case ResponseClass::kMisconfigured:
      return v1::ATTEMPT_CLASS_MISCONFIGURED;
  }
  HEAPSYNC_UNREACHABLE();
}

void Fill(const ItemAttempt& attempt, v1::DeliveryAttempt& to) {
  *to.mutable_started_at() = ToProto(attempt.started_at);
  if (attempt.ended_at.has_value()) {
    *to.mutable_ended_at() = ToProto(*attempt.ended_at);
  }
  if (attempt.response_class.has_value()) {
    to.set_attempt_class(ClassOf(*attempt.response_class));
  }
  to.set_http_status(attempt.http_status);
  to.set_summary(attempt.summary);
  to.set_batch_id(attempt.batch_id);
  to.set_items(attempt.items);
}

void Fill(const Receipt& receipt, const ItemDelivery& item,
          v1::ItemDelivery& to) {
  const auto receipt_of = [&](Seq seq) {
    return Receipt{.spool_id = receipt.spool_id,
                   .lane = receipt.lane,
                   .items = {{seq, seq + 1}}}
        .Encode();
  };
  to.set_sequence(item.seq);
  to.set_state(StateOf(item.state));
  if (item.into.has_value()) {
    to.set_into_sequence(*item.into);
    to.set_into_receipt(receipt_of(*item.into));
    to.set_into_state(StateOf(item.into_state));
  }
  if (item.reason.has_value()) {
    to.set_dead_letter_reason(ToProto(*item.reason));
    to.set_dead_letter_id(receipt_of(item.seq));
  }
  for (const ItemAttempt& attempt : item.attempts) {
    Fill(attempt, *to.add_attempts());
  }
}

// The items numbered [first, first + count) of a receipt.
std::vector<SeqRange> Part(const Receipt& receipt, uint64_t first,
                           uint64_t count) {
  std::vector<SeqRange> part;
  for (SeqRange range : receipt.items) {
    const uint64_t skipped = std::min(first, range.size());
    first -= skipped;
    range.begin += skipped;
    range.end = range.begin + std::min(count, range.size());
    count -= range.size();
    if (!range.empty()) part.push_back(range);
  }
  return part;
}

}  // namespace

TurnResult<v1::GetDeliveryResponse> DeliveryQuestion::operator()(
    const Caller& caller, const v1::GetDeliveryRequest& request) {
  auto read = ReadReceipt(*engines_, caller, request.receipt(), "receipt");
  if (auto* error = std::get_if<CallError>(&read)) return std::move(*error);
  const Receipt& receipt = std::get<Receipt>(read);
  uint64_t total = 0;
  for (const SeqRange& range : receipt.items) total += range.size();

  std::vector<Finding> violations;
  const uint64_t size = PageSize(request.page_size(), violations);
  uint64_t first = 0;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &first) || first >= total)) {
    violations.push_back(
        {.field = "page_token",
         .reason = "UNKNOWN_PAGE",
         .description =
             "must be the `next_page_token` of an earlier answer for "
             "the same receipt"});
  }
  if (!violations.empty()) return InvalidRequest(std::move(violations));

  const uint64_t count = std::min(size, total - first);
  const auto done = static_cast<uint64_t>(response_.items_size());
  const uint64_t turn = std::min(count - done, kItemsInOneTurn);
  Engine& engine = (*engines_)[engines_->ShardWithSpool(receipt.spool_id)];
  auto items = engine.LookUp(receipt.lane, Part(receipt, first + done, turn));
  if (absl::IsNotFound(items.status())) {
    return UnknownReceipt("UNKNOWN_RECEIPT",
                          absl::StrCat("receipt: ", kNeverGiven),
                          request.receipt());
  }
  if (!items.ok()) return NotRead(items.status());

  for (const ItemDelivery& item : *items) {
    Fill(receipt, item, *response_.add_items());
  }
  if (done + turn < count) return TaskGoesOn();
  const std::optional<LaneKey> key = engine.FindLane(receipt.lane);
  if (!key.has_value()) {
    return NotRead(absl::UnavailableError("the database is away"));
  }
  response_.set_destination(key->destination);
  response_.set_type(ToProto(key->type));
  response_.set_caller(key->caller);
  response_.set_total_items(total);
  if (first + count < total) {
    response_.set_next_page_token(absl::StrCat(first + count));
  }
  return std::move(response_);
}

}  // namespace heapsync
