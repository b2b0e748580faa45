#include "heap_adapter/transport/retry_after.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

constexpr std::array<absl::string_view, 7> kDays = {
    "Sunday",   "Monday", "Tuesday", "Wednesday",
    "Thursday", "Friday", "Saturday"};
constexpr std::array<absl::string_view, 12> kMonths = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Reads a date from left to right. After the first mismatch every read fails,
// so ok() and AtEnd() need to be checked only at the end.
class DateReader {
 public:
  explicit DateReader(absl::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && rest_.empty(); }

  void Literal(absl::string_view expected) {
    if (rest_.substr(0, expected.size()) != expected) return Fail();
    rest_.remove_prefix(expected.size());
  }

  // Reads exactly `width` decimal digits.
  int Digits(size_t width) {
    if (rest_.size() < width) return Fail(), 0;
    int value = 0;
    for (const char c : rest_.substr(0, width)) {
      if (!absl::ascii_isdigit(c)) return Fail(), 0;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(width);
    return value;
  }

  // Reads two columns, of which the first may be a space.
  int SpacePaddedDay() {
    if (rest_.empty() || rest_.front() != ' ') return Digits(2);
    Literal(" ");
    return Digits(1);
  }

  std::chrono::month Month() {
    const auto* found = std::find(kMonths.begin(), kMonths.end(),
                                  rest_.substr(0, kMonths[0].size()));
    if (found == kMonths.end()) return Fail(), std::chrono::month(0);
    rest_.remove_prefix(found->size());
    return std::chrono::month(static_cast<unsigned>(found - kMonths.begin()) +
                              1);
  }

  std::chrono::seconds TimeOfDay() {
    const int hours = Digits(2);
    Literal(":");
    const int minutes = Digits(2);
    Literal(":");
    const int seconds = Digits(2);
    if (hours > 23 || minutes > 59 || seconds > 60) Fail();  // 60: leap second
    return std::chrono::hours(hours) + std::chrono::minutes(minutes) +
           std::chrono::seconds(seconds);
  }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  absl::string_view rest_;
  bool ok_ = true;
};

std::optional<WallTime> Join(const DateReader& reader, std::chrono::year year,
                             std::chrono::month month, int day,
                             std::chrono::seconds time_of_day) {
  const std::chrono::year_month_day date(
      year, month, std::chrono::day(static_cast<unsigned>(day)));
  if (!reader.AtEnd() || !date.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + time_of_day;
}

std::optional<WallTime> ParseImfFixdate(absl::string_view text) {
  DateReader reader(text);
  reader.Literal(", ");
  const int day = reader.Digits(2);
  reader.Literal(" ");
  const std::chrono::month month = reader.Month();
  reader.Literal(" ");
  const std::chrono::year year(reader.Digits(4));
  reader.Literal(" ");
  const std::chrono::seconds time_of_day = reader.TimeOfDay();
  reader.Literal(" GMT");
  return Join(reader, year, month, day, time_of_day);
}

std::optional<WallTime> ParseRfc850(absl::string_view text, WallTime now) {
  DateReader reader(text);
  reader.Literal(", ");
  const int day = reader.Digits(2);
  reader.Literal("-");
  const std::chrono::month month = reader.Month();
  reader.Literal("-");
  const int year_of_century = reader.Digits(2);
  reader.Literal(" ");
  const std::chrono::seconds time_of_day = reader.TimeOfDay();
  reader.Literal(" GMT");

  const std::chrono::year_month_day today(
      std::chrono::floor<std::chrono::days>(now));
  const int this_year = static_cast<int>(today.year());
  // The latest year with these two digits that is at most 50 years ahead.
  const int latest = this_year + 50;
  const int year = latest - (latest - year_of_century) % 100;
  return Join(reader, std::chrono::year(year), month, day, time_of_day);
}

std::optional<WallTime> ParseAsctime(absl::string_view text) {
  DateReader reader(text);
  reader.Literal(" ");
  const std::chrono::month month = reader.Month();
  reader.Literal(" ");
  const int day = reader.SpacePaddedDay();
  reader.Literal(" ");
  const std::chrono::seconds time_of_day = reader.TimeOfDay();
  reader.Literal(" ");
  const std::chrono::year year(reader.Digits(4));
  return Join(reader, year, month, day, time_of_day);
}

// The name of the day determines the form: a long name means RFC 850, a short
// one with a comma IMF-fixdate.
std::optional<WallTime> ParseHttpDate(absl::string_view text, WallTime now) {
  constexpr size_t kShortName = 3;
  for (const absl::string_view day : kDays) {
    if (text.substr(0, day.size()) == day) {
      return ParseRfc850(text.substr(day.size()), now);
    }
    if (text.substr(0, kShortName) == day.substr(0, kShortName)) {
      const absl::string_view rest = text.substr(kShortName);
      return rest.substr(0, 1) == "," ? ParseImfFixdate(rest)
                                      : ParseAsctime(rest);
    }
  }
  return std::nullopt;
}

// The time since 1970 that `digits` name, if it is near `now`: some servers
// give the end of the wait like that.
std::optional<WallTime> ParseUnixTime(absl::string_view digits, WallTime now) {
  constexpr std::chrono::hours kNear{24};
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(digits, &seconds)) return std::nullopt;
  const auto today =
      std::chrono::floor<std::chrono::seconds>(now).time_since_epoch();
  const std::chrono::seconds time(seconds);
  if (time < today - kNear || time > today + kNear) return std::nullopt;
  return WallTime(time);
}

Duration SecondsUpTo(absl::string_view digits, Duration max_wait) {
  Duration wait{0};
  for (const char c : digits) {
    wait = wait * 10 + std::chrono::seconds(c - '0');
    if (wait >= max_wait) return max_wait;
  }
  return wait;
}

bool IsDigits(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// A decimal number without sign or exponent: "120", "1.5".
struct Decimal {
  absl::string_view whole;
  Duration rounding{0};  // what is missing to the next whole second
};

std::optional<Decimal> ParseDecimal(absl::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const absl::string_view whole = text.substr(0, point);
  absl::string_view fraction = text.substr(point);
  const bool has_fraction = absl::ConsumePrefix(&fraction, ".");
  if (!IsDigits(whole) || (has_fraction && !IsDigits(fraction))) {
    return std::nullopt;
  }
  const bool rounds_up =
      fraction.find_first_not_of('0') != absl::string_view::npos;
  return Decimal{.whole = whole,
                 .rounding = std::chrono::seconds(rounds_up ? 1 : 0)};
}

}  // namespace

std::optional<Duration> ParseRetryAfter(absl::string_view text, WallTime now,
                                        Duration max_wait) {
  text = absl::StripAsciiWhitespace(text);
  if (text.empty()) return std::nullopt;
  Duration wait{0};
  if (const auto number = ParseDecimal(text); number.has_value()) {
    const auto time = ParseUnixTime(number->whole, now);
    wait =
        time.has_value() ? *time - now : SecondsUpTo(number->whole, max_wait);
    wait = std::min(wait + number->rounding, max_wait);
  } else if (const auto date = ParseHttpDate(text, now); date.has_value()) {
    wait = std::min(*date - now, max_wait);
  }
  if (wait <= Duration(0)) return std::nullopt;
  return wait;
}

}  // namespace heapsync
