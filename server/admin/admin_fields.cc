#include "server/admin/admin_fields.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/admin/admin_call.h"

namespace heapsync {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1'000;

}  // namespace

google::protobuf::Timestamp ToProto(WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(second.time_since_epoch().count());
  timestamp.set_nanos(
      static_cast<int32_t>(std::chrono::nanoseconds(time - second).count()));
  return timestamp;
}

google::protobuf::Duration ToProto(Duration duration) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(duration);
  google::protobuf::Duration proto;
  proto.set_seconds(seconds.count());
  proto.set_nanos(static_cast<int32_t>(
      std::chrono::nanoseconds(duration - seconds).count()));
  return proto;
}

v1::ItemType ToProto(ObjectType type) {
  return static_cast<v1::ItemType>(type);
}

v1::DeadLetterReason ToProto(DeadLetterReason reason) {
  switch (reason) {
    case DeadLetterReason::kRefused:
      return v1::DEAD_LETTER_REASON_REFUSED;
    case DeadLetterReason::kTooLarge:
      return v1::DEAD_LETTER_REASON_TOO_LARGE;
    case DeadLetterReason::kExpired:
      return v1::DEAD_LETTER_REASON_EXPIRED;
    case DeadLetterReason::kDamaged:
      return v1::DEAD_LETTER_REASON_DAMAGED;
  }
  HEAPSYNC_UNREACHABLE();
}

uint32_t PageSize(uint32_t requested, std::vector<Finding>& violations) {
  if (requested == 0) return kDefaultPage;
  if (requested > kMaxPage) {
    violations.push_back(
        {.field = "page_size",
         .reason = "OUT_OF_RANGE",
         .description = absl::StrCat("must be at most ", kMaxPage, ", and is ",
                                     requested)});
  }
  return requested;
}

std::variant<Receipt, CallError> ReadReceipt(const Engines& engines,
                                             const Caller& caller,
                                             absl::string_view text,
                                             absl::string_view field) {
  if (text.empty()) {
    return InvalidRequest({{.field = std::string(field),
                            .reason = "REQUIRED",
                            .description = "must be set, and is not"}});
  }
  absl::StatusOr<Receipt> receipt = Receipt::Decode(text);
  if (!receipt.ok()) {
    return InvalidRequest(
        {{.field = std::string(field),
          .reason = "MALFORMED_RECEIPT",
          .description = std::string(receipt.status().message())}});
  }
  const size_t shard = engines.ShardWithSpool(receipt->spool_id);
  if (shard == engines.size()) {
    return UnknownReceipt("FOREIGN_RECEIPT",
                          absl::StrCat(field,
                                       ": another server's spool gave it; ask "
                                       "the server that accepted the items"),
                          text);
  }
  if (const absl::Status there = engines.CheckShard(shard); !there.ok()) {
    return DatabaseAway(there);
  }
  const std::optional<LaneKey> lane = engines[shard].FindLane(receipt->lane);
  if (!lane.has_value() || !caller.MayUse(lane->destination)) {
    return UnknownReceipt("UNKNOWN_RECEIPT",
                          absl::StrCat(field, ": ", kNeverGiven), text);
  }
  return *std::move(receipt);
}

Asker AskerOf(const Caller& caller,
              const grpc::CallbackServerContext& context) {
  // The caller learns that the wait was in vain only if the answer comes before
  // it gives up.
  constexpr auto kLead = std::chrono::milliseconds(200);
  Asker asker{.caller = caller.name};
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return asker;
  const auto left = std::chrono::duration_cast<Duration>(
      deadline - kLead - std::chrono::system_clock::now());
  asker.patience = std::clamp(left, Duration::zero(), asker.patience);
  return asker;
}

}  // namespace heapsync
