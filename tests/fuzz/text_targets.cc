#include "tests/fuzz/text_targets.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/config/config.h"
#include "heap_adapter/transport/named_item.h"
#include "heap_adapter/transport/retry_after.h"
#include "tests/fuzz/fuzz_check.h"

namespace heapsync {
namespace {

bool IsDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
}

// `text` is a decimal number with a fraction, `of_whole` the wait of its whole
// part.
void CheckFraction(absl::string_view text, const std::optional<Duration>& wait,
                   const std::optional<Duration>& of_whole, Duration max_wait) {
  const size_t point = text.find('.');
  const bool rounds_up =
      text.find_first_not_of('0', point + 1) != absl::string_view::npos;
  if (!rounds_up) {
    Check(wait == of_whole, "a fraction of nought changes nothing");
  } else if (of_whole.has_value()) {
    Check(wait ==
              std::min<Duration>(*of_whole + std::chrono::seconds(1), max_wait),
          "a fraction counts as a second");
  } else {
    Check(!wait.has_value() || *wait <= std::chrono::seconds(1),
          "a fraction alone is at most a second");
  }
}

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

void FuzzRetryAfter(absl::string_view input) {
  constexpr WallTime kNow{std::chrono::seconds(1'705'314'600)};
  constexpr Duration kMaxLength = std::chrono::hours(1);
  const std::optional<Duration> wait = ParseRetryAfter(input, kNow, kMaxLength);
  if (wait.has_value()) {
    Check(*wait > Duration::zero() && *wait <= kMaxLength,
          "a wait is within its bounds");
    Check(std::any_of(input.begin(), input.end(),
                      [](char c) { return c >= '0' && c <= '9'; }),
          "a wait is read from digits");
  }
  if (const size_t point = input.find('.'); point != absl::string_view::npos &&
                                            IsDigits(input.substr(0, point)) &&
                                            IsDigits(input.substr(point + 1))) {
    const absl::string_view whole = input.substr(0, point);
    CheckFraction(input, wait, ParseRetryAfter(whole, kNow, kMaxLength),
                  kMaxLength);
  }
  if (!IsDigits(input)) return;
  uint64_t seconds = 0;
  const bool is_number = absl::SimpleAtoi(input, &seconds);
  constexpr uint64_t kNowSeconds = 1'705'314'600;
  constexpr uint64_t kDay = 86'400;
  if (is_number && seconds >= kNowSeconds - kDay &&
      seconds <= kNowSeconds + kDay) {
    Check(wait.has_value() == (seconds > kNowSeconds),
          "a time that has passed is no wait");
    Check(!wait.has_value() ||
              *wait == std::min(Duration(std::chrono::seconds(seconds) -
                                         kNow.time_since_epoch()),
                                kMaxLength),
          "a time since 1970 is waited for");
    return;
  }
  const bool fits = is_number && seconds < 3'600;
  if (fits && seconds == 0) {
    Check(!wait.has_value(), "zero seconds are no wait");
    return;
  }
  Check(wait.has_value(), "a number of seconds is a wait");
  Check(*wait == (fits ? Duration(std::chrono::seconds(seconds)) : kMaxLength),
        "seconds are seconds");
}

void FuzzNamedItem(absl::string_view input) {
  if (input.empty()) return;
  const size_t size = static_cast<uint8_t>(input[0]) + 1;
  const absl::string_view text = input.substr(1);
  for (const absl::string_view array : {"events", "users", "accounts"}) {
    const std::optional<size_t> item = NamedItem(text, array, size);
    if (!item.has_value()) continue;
    Check(*item < size, "whoever is blamed was sent");
    Check(absl::StrContains(text, absl::StrCat("postBody.", array)),
          "the blame starts at the body");
    Check(absl::StrContains(text, absl::StrCat(*item)),
          "the blamed one is named");
  }
}

void FuzzConfig(absl::string_view input) {
  const absl::StatusOr<DestinationConfig> config =
      ParseDestinationConfig(input);
  if (config.ok()) {
    Check(!config->destinations.empty(), "there is a destination");
    std::set<std::string> names;
    bool has_default = false;
    for (const Destination& destination : config->destinations) {
      Check(names.insert(destination.name).second, "names are unique");
      has_default |= destination.name == config->default_destination;
      Check(destination.limit_share > 0 && destination.limit_share <= 1,
            "a share is a part");
      Check(destination.batch.max_items >= 1 &&
                destination.batch.max_items <= 1'000,
            "a batch holds what Heap takes");
      Check(IsDigits(destination.app_id.digits()), "App IDs are digits");
    }
    Check(has_default, "the default is one of them");
    return;
  }
  Check(absl::IsInvalidArgument(config.status()) &&
            !config.status().message().empty(),
        "a refusal is explained");
  const auto json = nlohmann::json::parse(input.begin(), input.end(), nullptr,
                                          /*allow_exceptions=*/false,
                                          /*ignore_comments=*/true);
  if (!json.is_object() || !json.contains("destinations") ||
      !json["destinations"].is_array()) {
    return;
  }
  for (const auto& destination : json["destinations"]) {
    if (!destination.is_object() || !destination.contains("app_id") ||
        !destination["app_id"].is_string()) {
      continue;
    }
    const std::string app_id = destination["app_id"];
    if (app_id.size() < 6 || !IsDigits(app_id) || Count(input, app_id) != 1) {
      continue;  // It may stand elsewhere, as something else.
    }
    Check(!absl::StrContains(config.status().message(), app_id),
          "App IDs appear in no error");
  }
}

}  // namespace heapsync
