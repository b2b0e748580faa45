#include "client/cli/timestamp_parsing.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace heapsync {
namespace {

using google::protobuf::Timestamp;

absl::Status Unrecognised() {
  return absl::InvalidArgumentError(
      "not a time: expected RFC 3339 (2024-01-15T10:30:00Z), \"YYYY-MM-DD "
      "HH:MM:SS\", a date, or seconds or milliseconds since 1970");
}

// Reads exactly `count` digits off the front.
std::optional<int> TakeDigits(absl::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(text[i]))) {
      return std::nullopt;
    }
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

// ".123" as nanoseconds; empty if a point is not followed by a digit.
std::optional<int32_t> TakeFraction(absl::string_view& text) {
  if (!absl::ConsumePrefix(&text, ".") && !absl::ConsumePrefix(&text, ",")) {
    return 0;
  }
  int32_t nanos = 0;
  int32_t unit = 100'000'000;
  size_t digits = 0;
  while (digits < text.size() &&
         absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    nanos += (text[digits] - '0') * unit;
    unit /= 10;
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return nanos;
}

// The offset at the end, in seconds; none means UTC.
std::optional<int64_t> ParseOffset(absl::string_view text) {
  absl::ConsumePrefix(&text, " ");
  if (text.empty() || text == "Z" || text == "z" || text == "UTC") return 0;
  const char sign = text.front();
  if (sign != '+' && sign != '-') return std::nullopt;
  text.remove_prefix(1);
  const std::optional<int> hours = TakeDigits(text, 2);
  int minutes = 0;
  if (!text.empty()) {
    absl::ConsumePrefix(&text, ":");
    const std::optional<int> parsed = TakeDigits(text, 2);
    if (!parsed || !text.empty()) return std::nullopt;
    minutes = *parsed;
  }
  if (!hours || *hours > 23 || minutes > 59) return std::nullopt;
  const int64_t seconds = (*hours * 60 + minutes) * 60;
  return sign == '-' ? -seconds : seconds;
}

absl::StatusOr<Timestamp> MakeTimestamp(int64_t seconds, int32_t nanos) {
  // The range of google.protobuf.Timestamp: the years 1 to 9999.
  if (seconds < -62'135'596'800 || seconds > 253'402'300'799) {
    return absl::InvalidArgumentError("a time has a year from 1 to 9999");
  }
  Timestamp result;
  result.set_seconds(seconds);
  result.set_nanos(nanos);
  return result;
}

absl::StatusOr<Timestamp> ParseEpoch(absl::string_view text) {
  const size_t digits = std::min(text.find('.'), text.size());
  int64_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(text[i])) || i > 15) {
      return Unrecognised();
    }
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  if (digits == 9 || digits == 10) {
    const std::optional<int32_t> nanos = TakeFraction(text);
    if (!nanos || !text.empty()) return Unrecognised();
    return MakeTimestamp(value, *nanos);
  }
  if ((digits == 12 || digits == 13) && text.empty()) {
    return MakeTimestamp(value / 1000,
                         static_cast<int32_t>(value % 1000) * 1'000'000);
  }
  return absl::InvalidArgumentError(
      "digits alone are seconds (9 or 10 digits) or milliseconds (12 or 13) "
      "since 1970");
}

}  // namespace

absl::StatusOr<Timestamp> ParseTimestamp(absl::string_view text) {
  absl::string_view rest = text;
  const std::optional<int> year = TakeDigits(rest, 4);
  if (!year) return Unrecognised();
  if (!absl::ConsumePrefix(&rest, "-")) return ParseEpoch(text);
  const std::optional<int> month = TakeDigits(rest, 2);
  if (!month || !absl::ConsumePrefix(&rest, "-")) return Unrecognised();
  const std::optional<int> day = TakeDigits(rest, 2);
  if (!day) return Unrecognised();

  std::optional<int> hour = 0, minute = 0, second = 0;
  std::optional<int32_t> nanos = 0;
  if (!rest.empty()) {
    const char separator = rest.front();
    if (separator != 'T' && separator != 't' && separator != ' ') {
      return Unrecognised();
    }
    rest.remove_prefix(1);
    hour = TakeDigits(rest, 2);
    if (!hour || !absl::ConsumePrefix(&rest, ":")) return Unrecognised();
    minute = TakeDigits(rest, 2);
    if (!minute || !absl::ConsumePrefix(&rest, ":")) return Unrecognised();
    second = TakeDigits(rest, 2);
    nanos = TakeFraction(rest);
    if (!second || !nanos) return Unrecognised();
  }
  const std::optional<int64_t> offset = ParseOffset(rest);
  if (!offset) return Unrecognised();

  const absl::CivilDay date(*year, *month, *day);
  const bool leap_second = *minute == 59 && *second == 60;
  if (*year < 1 || date.month() != *month || date.day() != *day || *hour > 23 ||
      *minute > 59 || (*second > 59 && !leap_second)) {
    return absl::InvalidArgumentError(
        "no such time in the calendar: month, day, hour, minute or second is "
        "out of range");
  }
  const int64_t seconds =
      (date - absl::CivilDay(1970, 1, 1)) * int64_t{86'400} +
      *hour * int64_t{3'600} + *minute * 60 + *second - *offset;
  return MakeTimestamp(seconds, leap_second ? 0 : *nanos);
}

}  // namespace heapsync
