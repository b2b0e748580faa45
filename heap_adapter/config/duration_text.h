#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_DURATION_TEXT_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_DURATION_TEXT_H_

#include <chrono>
#include <optional>

#include "absl/strings/string_view.h"

namespace heapsync {

// Reads a whole number with a unit, as configuration writes durations: "500ms",
// "2s", "1m", "168h". None for anything else, such as a bare number, a sign, a
// fraction, or what does not fit.
std::optional<std::chrono::milliseconds> ParseDurationText(
    absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_DURATION_TEXT_H_
