#include "heap_adapter/encoding/timestamp_text.h"

#include <chrono>
#include <cstddef>

#include "base/check.h"

namespace heapsync {
namespace {

constexpr int64_t kFirstSecond = -62135596800;  // 0001-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253402300799;   // 9999-12-31T23:59:59Z
constexpr int32_t kNanosPerSecond = 1'000'000'000;

// Writes `value` with exactly `width` digits and returns the end.
char* WriteDigits(char* at, unsigned value, int width) {
  for (int i = width - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return at + width;
}

}  // namespace

std::optional<TimestampText> TimestampText::FromUnix(int64_t seconds,
                                                     int32_t nanos) {
  if (seconds < kFirstSecond || seconds > kLastSecond || nanos < 0 ||
      nanos >= kNanosPerSecond) {
    return std::nullopt;
  }
  const std::chrono::sys_seconds moment{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date(day);
  const auto second_of_day = static_cast<unsigned>((moment - day).count());

  TimestampText result;
  char* at = result.text_.data();
  at = WriteDigits(at, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *at++ = '-';
  at = WriteDigits(at, static_cast<unsigned>(date.month()), 2);
  *at++ = '-';
  at = WriteDigits(at, static_cast<unsigned>(date.day()), 2);
  *at++ = 'T';
  at = WriteDigits(at, second_of_day / 3600, 2);
  *at++ = ':';
  at = WriteDigits(at, second_of_day / 60 % 60, 2);
  *at++ = ':';
  at = WriteDigits(at, second_of_day % 60, 2);
  if (nanos != 0) {
    *at++ = '.';
    const auto fraction = static_cast<unsigned>(nanos);
    if (fraction % 1'000'000 == 0) {
      at = WriteDigits(at, fraction / 1'000'000, 3);
    } else if (fraction % 1'000 == 0) {
      at = WriteDigits(at, fraction / 1'000, 6);
    } else {
      at = WriteDigits(at, fraction, 9);
    }
  }
  *at++ = 'Z';
  result.size_ = static_cast<uint32_t>(at - result.text_.data());
  return result;
}

TimestampText TimestampText::FromWallTime(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto text = FromUnix(
      seconds.time_since_epoch().count(),
      static_cast<int32_t>(std::chrono::nanoseconds(time - seconds).count()));
  HEAPSYNC_CHECK(text.has_value()) << "time out of range";
  return *text;
}

}  // namespace heapsync
