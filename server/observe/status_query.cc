#include "server/observe/status_query.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace heapsync {
namespace {

template <typename T, size_t kCount>
using Names = std::array<std::pair<absl::string_view, T>, kCount>;

constexpr Names<StatusSort, 7> kSorts = {
    {{"attention", StatusSort::kAttention},
     {"name", StatusSort::kName},
     {"in", StatusSort::kAccepted},
     {"out", StatusSort::kDelivered},
     {"backlog", StatusSort::kBacklog},
     {"allowance", StatusSort::kAllowance},
     {"dead_letters", StatusSort::kDeadLetters}}};
constexpr Names<FlowHistory::Range, 2> kRanges = {
    {{"minutes", FlowHistory::Range::kMinutes},
     {"hours", FlowHistory::Range::kHours}}};
constexpr size_t kMaxPage = 1'000'000;

template <typename T, size_t kCount>
std::optional<T> Find(const Names<T, kCount>& names, absl::string_view name) {
  for (const auto& [known, value] : names) {
    if (known == name) return value;
  }
  return std::nullopt;
}

std::optional<DestinationState> FindState(absl::string_view name) {
  for (const DestinationState state : kDestinationStates) {
    if (Name(state) == name) return state;
  }
  return std::nullopt;
}

// Undoes the percent-encoding of a form. None: a percent sign stands alone.
std::optional<std::string> Decoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    uint32_t byte = 0;
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(text[i + 1]) ||
        !absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte)) {
      return std::nullopt;
    }
    decoded.push_back(static_cast<char>(byte));
    i += 2;
  }
  return decoded;
}

bool ParseCount(absl::string_view text, size_t max, size_t& count) {
  return absl::SimpleAtoi(text, &count) && count >= 1 && count <= max;
}

// False: `value` is none that `name` can have.
bool Set(absl::string_view name, std::string value, StatusQuery& query) {
  if (name == "search") {
    query.search = absl::AsciiStrToLower(absl::StripAsciiWhitespace(value));
    return true;
  }
  if (name == "open") {
    query.open.push_back(std::move(value));
    return query.open.size() <= StatusQuery::kMaxOpen;
  }
  if (name == "state") {
    query.state = FindState(value);
    return query.state.has_value() || value.empty();
  }
  if (name == "sort") {
    const auto sort = Find(kSorts, value);
    query.sort = sort.value_or(query.sort);
    return sort.has_value();
  }
  if (name == "order") {
    query.reversed = value == "reversed";
    return query.reversed || value == "natural";
  }
  if (name == "page") return ParseCount(value, kMaxPage, query.page);
  if (name == "per_page") {
    return ParseCount(value, StatusQuery::kMaxPerPage, query.per_page);
  }
  if (name == "detail") {
    query.detailed = value != "brief";
    return !query.detailed || value == "full";
  }
  if (name == "history") {
    query.history = Find(kRanges, value);
    return query.history.has_value();
  }
  return false;
}

}  // namespace

absl::StatusOr<StatusQuery> ParseStatusQuery(absl::string_view query) {
  constexpr std::array<absl::string_view, 9> kNames = {
      "search",   "state",  "sort",    "order", "page",
      "per_page", "detail", "history", "open"};
  StatusQuery parsed;
  for (const absl::string_view part :
       absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const auto* name = std::find(kNames.begin(), kNames.end(), pair.first);
    if (name == kNames.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a parameter is none of ", absl::StrJoin(kNames, ", ")));
    }
    std::optional<std::string> value = Decoded(pair.second);
    if (!value.has_value() || !Set(*name, *std::move(value), parsed)) {
      return absl::InvalidArgumentError(
          absl::StrCat(*name, " cannot have this value"));
    }
  }
  return parsed;
}

}  // namespace heapsync
