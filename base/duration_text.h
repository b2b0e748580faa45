#ifndef HEAPSYNC_BASE_DURATION_TEXT_H_
#define HEAPSYNC_BASE_DURATION_TEXT_H_

#include <chrono>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Parses a duration of absl::ParseDuration(), such as "500ms", "2s", "1h30m" or
// "168h". None for anything else, for a sign, an infinity, and a duration that
// is not a whole number of milliseconds.
std::optional<std::chrono::milliseconds> ParseDurationText(
    absl::string_view text);

// The inverse: "168h", "1m", "500ms", "0s".
std::string FormatDurationText(std::chrono::milliseconds duration);

// Durations from `min` to `max`, both allowed.
struct DurationRange {
  std::chrono::milliseconds min;
  std::chrono::milliseconds max;

  bool Contains(std::chrono::milliseconds duration) const {
    return min <= duration && duration <= max;
  }
  // "0s to 1h".
  std::string Text() const;
};

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_DURATION_TEXT_H_
