#include "server/admin/dead_letter_choice.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/admin/admin_fields.h"

namespace heapsync {
namespace {

constexpr int kMaxIds = 1'000;
constexpr int64_t kFirstSecond = -62'135'596'800;  // year 1
constexpr int64_t kLastSecond = 253'402'300'799;   // year 9999

Finding UnknownValue(absl::string_view field, int number) {
  return {.field = std::string(field),
          .reason = "UNKNOWN_VALUE",
          .description = absl::StrCat(number, " means nothing here")};
}

std::optional<ObjectType> ReadType(v1::ItemType type,
                                   std::vector<Finding>& violations) {
  if (type == v1::ITEM_TYPE_UNSPECIFIED) return std::nullopt;
  for (const ObjectType known : kObjectTypes) {
    if (ToProto(known) == type) return known;
  }
  violations.push_back(UnknownValue("filter.type", type));
  return std::nullopt;
}

std::optional<DeadLetterReason> ReadReason(v1::DeadLetterReason reason,
                                           std::vector<Finding>& violations) {
  switch (reason) {
    case v1::DEAD_LETTER_REASON_UNSPECIFIED:
      return std::nullopt;
    case v1::DEAD_LETTER_REASON_REFUSED:
      return DeadLetterReason::kRefused;
    case v1::DEAD_LETTER_REASON_TOO_LARGE:
      return DeadLetterReason::kTooLarge;
    case v1::DEAD_LETTER_REASON_EXPIRED:
      return DeadLetterReason::kExpired;
    case v1::DEAD_LETTER_REASON_DAMAGED:
      return DeadLetterReason::kDamaged;
    default:
      violations.push_back(UnknownValue("filter.reason", reason));
      return std::nullopt;
  }
}

std::optional<WallTime> ReadTime(const google::protobuf::Timestamp& time,
                                 absl::string_view field,
                                 std::vector<Finding>& violations) {
  if (time.seconds() < kFirstSecond || time.seconds() > kLastSecond ||
      time.nanos() < 0 || time.nanos() > 999'999'999) {
    violations.push_back({.field = std::string(field),
                          .reason = "TIMESTAMP_OUT_OF_RANGE",
                          .description =
                              "a timestamp lies in the years 1 to 9999, with 0 "
                              "to 999999999 nanoseconds"});
    return std::nullopt;
  }
  return WallTime(std::chrono::seconds(time.seconds()) +
                  std::chrono::duration_cast<Duration>(
                      std::chrono::nanoseconds(time.nanos())));
}

bool IsEmpty(const v1::DeadLetterFilter& filter) {
  return filter.destination().empty() &&
         filter.type() == v1::ITEM_TYPE_UNSPECIFIED &&
         filter.reason() == v1::DEAD_LETTER_REASON_UNSPECIFIED &&
         !filter.has_since() && !filter.has_until() &&
         filter.receipt().empty() && filter.ids().empty();
}

bool IsOneItem(const Receipt& receipt) {
  return receipt.items.size() == 1 && receipt.items[0].size() == 1;
}

std::vector<Finding> ReadTimes(const v1::DeadLetterFilter& filter,
                               DeadLetterFilter& to) {
  std::vector<Finding> violations;
  if (filter.has_since()) {
    to.since = ReadTime(filter.since(), "filter.since", violations);
  }
  if (filter.has_until()) {
    to.until = ReadTime(filter.until(), "filter.until", violations);
  }
  if (to.since.has_value() && to.until.has_value() && *to.since >= *to.until) {
    violations.push_back({.field = "filter.until",
                          .reason = "OUT_OF_RANGE",
                          .description = "must lie after `since`"});
  }
  return violations;
}

// Moves what is wrong with one field to the others, or gives the error if it is
// of another kind.
std::optional<CallError> Collect(CallError error,
                                 std::vector<Finding>& violations) {
  if (error.violations.empty()) return error;
  violations.insert(violations.end(),
                    std::make_move_iterator(error.violations.begin()),
                    std::make_move_iterator(error.violations.end()));
  return std::nullopt;
}

std::optional<CallError> ReadIds(const Engines& engines, const Caller& caller,
                                 const v1::DeadLetterFilter& filter,
                                 std::vector<DeadLetterChoice::Id>& ids,
                                 std::vector<Finding>& violations) {
  if (filter.ids_size() > kMaxIds) {
    violations.push_back(
        {.field = "filter.ids",
         .reason = "OUT_OF_RANGE",
         .description = absl::StrCat("must be at most ", kMaxIds, ", and are ",
                                     filter.ids_size())});
    return std::nullopt;
  }
  absl::flat_hash_set<std::string> seen;
  for (int i = 0; i < filter.ids_size(); ++i) {
    if (!seen.insert(filter.ids(i)).second) continue;
    const std::string field = absl::StrCat("filter.ids[", i, "]");
    auto read = ReadReceipt(engines, caller, filter.ids(i), field);
    if (auto* error = std::get_if<CallError>(&read)) {
      auto fatal = Collect(std::move(*error), violations);
      if (fatal.has_value()) return fatal;
      continue;
    }
    const Receipt& id = std::get<Receipt>(read);
    if (!IsOneItem(id)) {
      violations.push_back({.field = field,
                            .reason = "MALFORMED_ID",
                            .description = "names more than one item: it is a "
                                           "receipt, for `filter.receipt`"});
      continue;
    }
    ids.push_back(
        {engines.ShardWithSpool(id.spool_id), {id.lane, id.items[0].begin}});
  }
  std::sort(ids.begin(), ids.end());
  return std::nullopt;
}

// A page token: the id of the shard's spool, then the start.
std::optional<ShardStart> ReadPageToken(const Engines& engines,
                                        absl::string_view token) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(token, absl::MaxSplits('.', 1));
  const auto start = DecodePageStart(parts.second);
  if (!start.has_value()) return std::nullopt;
  for (size_t shard = 0; shard < engines.size(); ++shard) {
    if (parts.first == absl::StrCat(absl::Hex(engines[shard].spool_id()))) {
      return ShardStart{.shard = shard, .start = *start};
    }
  }
  return std::nullopt;
}

std::vector<size_t> ShardsOf(const Engines& engines,
                             const DeadLetterChoice& choice) {
  std::vector<size_t> shards;
  for (size_t shard = 0; shard < engines.size(); ++shard) {
    const DeadLetterFilter& filter = choice.filter;
    const bool has_id =
        choice.ids.empty() ||
        std::any_of(choice.ids.begin(), choice.ids.end(),
                    [shard](const auto& id) { return id.first == shard; });
    const bool may_match =
        (filter.destination.empty() ||
         engines.ShardFor(filter.destination) == shard) &&
        (!filter.receipt.has_value() ||
         engines.ShardWithSpool(filter.receipt->spool_id) == shard);
    if (has_id && may_match) shards.push_back(shard);
  }
  return shards;
}

// As many bytes as a page of a filter.
constexpr size_t kMaxPageBytes = 4 << 20;

absl::StatusOr<ChosenDeadLetters> FindByFilter(const Engines& engines,
                                               const DeadLetterChoice& choice) {
  ChosenDeadLetters chosen;
  size_t count = 0;
  size_t bytes = 0;
  for (const size_t shard : choice.shards) {
    if (shard < choice.start.shard) continue;
    if (count >= choice.page_size || bytes >= kMaxPageBytes) {
      chosen.next = {.shard = shard, .start = {}};
      break;
    }
    auto page = engines[shard].FindDeadLetters(
        choice.filter,
        shard == choice.start.shard ? choice.start.start : DeadLetterStart(),
        choice.page_size - count, choice.scope);
    if (!page.ok()) return page.status();
    count += page->letters.size();
    for (const FoundDeadLetter& found : page->letters) {
      bytes += found.letter.text.size();
    }
    chosen.parts.push_back(
        {.shard = shard, .letters = std::move(page->letters), .not_found = {}});
    if (page->next.has_value()) {
      chosen.next = {.shard = shard, .start = *page->next};
      break;
    }
  }
  return chosen;
}

}  // namespace

std::string EncodePageStart(const DeadLetterStart& start) {
  return absl::StrCat(absl::Hex(start.from.lane), ".",
                      absl::Hex(start.from.seq), ".", absl::Hex(start.end));
}

std::optional<DeadLetterStart> DecodePageStart(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  DeadLetterStart start;
  if (parts.size() != 3 || !absl::SimpleHexAtoi(parts[0], &start.from.lane) ||
      !absl::SimpleHexAtoi(parts[1], &start.from.seq) ||
      !absl::SimpleHexAtoi(parts[2], &start.end)) {
    return std::nullopt;
  }
  // The parsers also take signs, spaces and "0x", which are never written.
  if (EncodePageStart(start) != text) return std::nullopt;
  return start;
}

std::string PageToken(const Engines& engines, const ShardStart& next) {
  return absl::StrCat(absl::Hex(engines[next.shard].spool_id()), ".",
                      EncodePageStart(next.start));
}

std::string DeadLetterId(const Engine& engine, DeadLetterPlace place) {
  return engine.ReceiptOf(place.lane, {{place.seq, place.seq + 1}});
}

std::variant<DeadLetterChoice, CallError> ReadChoice(
    const Engines& engines, const Caller& caller,
    const DeadLetterPageRequest& request, DeadLetterUse use) {
  const v1::DeadLetterFilter& filter = request.filter;
  // Empty means all of them, and a list would show what is in the letters.
  if (!caller.MayUse(filter.destination())) {
    return DestinationNotAllowed(filter.destination());
  }
  DeadLetterChoice choice;
  std::vector<Finding> violations = ReadTimes(filter, choice.filter);
  if (use == DeadLetterUse::kChange && IsEmpty(filter)) {
    violations.push_back(
        {.field = "filter",
         .reason = "REQUIRED",
         .description = "must say which dead letters are meant; `all` means "
                        "every one of the server"});
  }
  choice.filter.type = ReadType(filter.type(), violations);
  choice.filter.reason = ReadReason(filter.reason(), violations);
  choice.page_size = PageSize(request.page_size, violations);
  if (!filter.receipt().empty()) {
    auto read =
        ReadReceipt(engines, caller, filter.receipt(), "filter.receipt");
    if (auto* error = std::get_if<CallError>(&read)) {
      auto fatal = Collect(std::move(*error), violations);
      if (fatal.has_value()) return *std::move(fatal);
    } else {
      choice.filter.receipt = std::get<Receipt>(std::move(read));
    }
  }
  if (auto fatal = ReadIds(engines, caller, filter, choice.ids, violations)) {
    return *std::move(fatal);
  }
  if (use != DeadLetterUse::kView) choice.scope = DeadLetterScope::kFixed;
  if (const auto start = ReadPageToken(engines, request.page_token)) {
    choice.start = *start;
  } else if (!request.page_token.empty()) {
    violations.push_back(
        {.field = "page_token",
         .reason = "UNKNOWN_PAGE",
         .description = "must be the `next_page_token` of an earlier answer"});
  }
  if (!violations.empty()) return InvalidRequest(std::move(violations));
  if (!filter.destination().empty() &&
      engines.CheckShard(engines.ShardFor(filter.destination())).ok() &&
      !engines.For(filter.destination()).HasLanes(filter.destination())) {
    return UnknownDestination(filter.destination());
  }
  choice.filter.destination = filter.destination();
  choice.shards = ShardsOf(engines, choice);
  for (const size_t shard : choice.shards) {
    const absl::Status there = engines.CheckShard(shard);
    if (!there.ok()) return DatabaseAway(there);
  }
  return choice;
}

absl::StatusOr<ChosenDeadLetters> FindChosen(const Engines& engines,
                                             const DeadLetterChoice& choice) {
  if (choice.ids.empty()) return FindByFilter(engines, choice);
  ChosenDeadLetters chosen;
  size_t looked_at = 0;
  size_t bytes = 0;
  const DeadLetterChoice::Id start(choice.start.shard, choice.start.start.from);
  for (const DeadLetterChoice::Id& id : choice.ids) {
    if (id < start) continue;
    const auto [shard, place] = id;
    if (looked_at++ == choice.page_size || bytes >= kMaxPageBytes) {
      chosen.next = {.shard = shard, .start = {.from = place}};
      break;
    }
    if (chosen.parts.empty() || chosen.parts.back().shard != shard) {
      chosen.parts.push_back({.shard = shard, .letters = {}, .not_found = {}});
    }
    ChosenDeadLetters::Part& part = chosen.parts.back();
    auto found = engines[shard].FindDeadLetter(choice.filter, place);
    if (!found.ok()) return found.status();
    if (found->has_value()) {
      bytes += (*found)->letter.text.size();
      part.letters.push_back(**std::move(found));
    } else {
      part.not_found.push_back(place);
    }
  }
  return chosen;
}

}  // namespace heapsync
