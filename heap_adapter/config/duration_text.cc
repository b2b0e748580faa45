#include "heap_adapter/config/duration_text.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/numbers.h"

namespace heapsync {
namespace {

struct Unit {
  absl::string_view suffix;
  std::chrono::milliseconds length;
};
constexpr std::array<Unit, 4> kUnits = {{{"ms", std::chrono::milliseconds(1)},
                                         {"s", std::chrono::seconds(1)},
                                         {"m", std::chrono::minutes(1)},
                                         {"h", std::chrono::hours(1)}}};

}  // namespace

std::optional<std::chrono::milliseconds> ParseDurationText(
    absl::string_view text) {
  size_t digits = text.find_first_not_of("0123456789");
  if (digits == absl::string_view::npos) return std::nullopt;
  // Ten digits of hours still fit into milliseconds.
  uint32_t count = 0;
  if (!absl::SimpleAtoi(text.substr(0, digits), &count)) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (text.substr(digits) == unit.suffix) return count * unit.length;
  }
  return std::nullopt;
}

}  // namespace heapsync
