#include "client/cli/timestamp_parsing.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
      "HH:MM:SS\", a date, or seconds, milliseconds, microseconds or "
      "nanoseconds since 1970");
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
  if (text.empty() || text == "Z" || text == "z" || text == "UTC" ||
      text == "GMT" || text == "Z[UTC]") {
    return 0;
  }
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

absl::Status UnknownUnit() {
  return absl::InvalidArgumentError(
      "digits alone are seconds (9 or 10 digits), milliseconds (12 or 13), "
      "microseconds (15 or 16) or nanoseconds (18 or 19) since 1970, and no "
      "date like 202401151030");
}

// True if digits begin like YYYYMMDDHH, YYYYMMDDHHMM and so on.
bool ReadsAsDate(absl::string_view digits) {
  if (digits.size() % 2 != 0) return false;
  const int year = *TakeDigits(digits, 4);
  const int month = *TakeDigits(digits, 2);
  const int day = *TakeDigits(digits, 2);
  const int hour = *TakeDigits(digits, 2);
  const int minute = digits.empty() ? 0 : *TakeDigits(digits, 2);
  const int second = digits.size() < 2 ? 0 : *TakeDigits(digits, 2);
  return year >= 1970 && year < 2100 && month >= 1 && month <= 12 && day >= 1 &&
         day <= 31 && hour < 24 && minute < 60 && second < 60;
}

// "1.705314600123E+12" as "1705314600123"; empty if digits are missing. With a
// sign, spreadsheets and printf have rounded what is missing; without one
// ("1.7053146E9"), JSON writers print all digits but the zeros at the end.
std::optional<std::string> WithoutExponent(absl::string_view text) {
  const size_t e = text.find_first_of("eE");
  absl::string_view exponent_text = text.substr(e + 1);
  const bool may_be_rounded = absl::ConsumePrefix(&exponent_text, "+");
  if (exponent_text.empty() || exponent_text.size() > 2) return std::nullopt;
  const std::optional<int> exponent =
      TakeDigits(exponent_text, exponent_text.size());
  const absl::string_view mantissa = text.substr(0, e);
  if (!exponent || *exponent > 18 || mantissa.size() < 3 ||
      mantissa[1] != '.') {
    return std::nullopt;
  }
  std::string fraction(mantissa.substr(2));
  const auto whole = static_cast<size_t>(*exponent);
  if (fraction.size() < whole) {
    if (may_be_rounded) return std::nullopt;
    fraction.append(whole - fraction.size(), '0');
  }
  std::string plain =
      absl::StrCat(mantissa.substr(0, 1), fraction.substr(0, whole));
  if (fraction.size() > whole) {
    absl::StrAppend(&plain, ".", fraction.substr(whole));
  }
  return plain;
}

constexpr size_t kMaxEpochDigits = 19;

absl::StatusOr<Timestamp> ParseEpoch(absl::string_view text) {
  std::string plain;
  if (text.find_first_of("eE") != absl::string_view::npos) {
    const std::optional<std::string> expanded = WithoutExponent(text);
    if (!expanded) return Unrecognised();
    plain = *expanded;
    text = plain;
  }
  const absl::string_view digits = text.substr(0, text.find('.'));
  int64_t value = 0;
  for (const char digit : digits) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(digit))) {
      return Unrecognised();
    }
    if (digits.size() <= kMaxEpochDigits) value = value * 10 + (digit - '0');
  }
  text.remove_prefix(digits.size());
  if (digits.size() == kMaxEpochDigits && digits.front() > '8') {
    return UnknownUnit();  // beyond the year 2255, and perhaps beyond 64 bits
  }
  int64_t units = 1;  // in a second
  switch (digits.size()) {
    case 9:
    case 10:
      break;
    case 12:
    case 13:
      units = 1'000;
      break;
    case 15:
    case 16:
      units = 1'000'000;
      break;
    case 18:
    case 19:
      units = 1'000'000'000;
      break;
    default:
      return UnknownUnit();
  }
  if (ReadsAsDate(digits)) return UnknownUnit();
  const std::optional<int32_t> fraction = TakeFraction(text);
  if (!fraction || !text.empty()) return Unrecognised();
  const int64_t nanos =
      value % units * (1'000'000'000 / units) + *fraction / units;
  return MakeTimestamp(value / units, static_cast<int32_t>(nanos));
}

// True for the beginning of "20240115T103000Z".
bool IsBasicFormat(absl::string_view text) {
  return text.size() > 9 && text[8] == 'T' &&
         std::all_of(text.begin(), text.begin() + 8, [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c));
         });
}

}  // namespace

absl::StatusOr<Timestamp> ParseTimestamp(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  absl::string_view rest = text;
  // Between the parts of a date, and those of a time.
  absl::string_view date_mark = "-";
  absl::string_view time_mark = ":";
  if (IsBasicFormat(text)) date_mark = time_mark = "";
  const std::optional<int> year = TakeDigits(rest, 4);
  if (year && absl::StartsWith(rest, "/")) date_mark = "/";
  if (!year || !absl::ConsumePrefix(&rest, date_mark)) return ParseEpoch(text);
  const std::optional<int> month = TakeDigits(rest, 2);
  if (!month || !absl::ConsumePrefix(&rest, date_mark)) return Unrecognised();
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
    if (!hour || !absl::ConsumePrefix(&rest, time_mark)) return Unrecognised();
    minute = TakeDigits(rest, 2);
    if (!minute) return Unrecognised();
    const bool has_seconds =
        time_mark.empty() || absl::ConsumePrefix(&rest, time_mark);
    if (has_seconds) {
      second = TakeDigits(rest, 2);
      nanos = TakeFraction(rest);
      if (!second || !nanos) return Unrecognised();
    }
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
