#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_TIMESTAMP_TEXT_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_TIMESTAMP_TEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace heapsync {

// A time as ISO 8601 in UTC: "2024-01-15T10:30:00Z", with 3, 6 or 9 fractional
// digits if they are needed to be exact.
class TimestampText {
 public:
  // From the two fields of a google.protobuf.Timestamp; nullopt if they are out
  // of range: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z, and 0 to
  // 999,999,999 nanoseconds.
  static std::optional<TimestampText> FromUnix(int64_t seconds, int32_t nanos);

  // REQUIRES: `time` is in the same range.
  static TimestampText FromWallTime(WallTime time);

  absl::string_view view() const { return {text_.data(), size_}; }

 private:
  TimestampText() = default;

  std::array<char, sizeof("9999-12-31T23:59:59.999999999Z") - 1> text_;
  uint32_t size_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_TIMESTAMP_TEXT_H_
