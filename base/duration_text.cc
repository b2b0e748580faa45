#include "base/duration_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace heapsync {

std::optional<std::chrono::milliseconds> ParseDurationText(
    absl::string_view text) {
  // ParseDuration() accepts signs, and "inf" and "0" without a unit.
  if (text.size() < 2 || !absl::ascii_isdigit(text[0])) return std::nullopt;
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration)) return std::nullopt;
  const auto milliseconds = absl::ToChronoMilliseconds(duration);
  if (absl::FromChrono(milliseconds) != duration) return std::nullopt;
  return milliseconds;
}

std::string FormatDurationText(std::chrono::milliseconds duration) {
  std::string text = absl::FormatDuration(absl::FromChrono(duration));
  return text == "0" ? "0s" : text;
}

std::string DurationRange::Text() const {
  return absl::StrCat(FormatDurationText(min), " to ", FormatDurationText(max));
}

}  // namespace heapsync
