#include "heap_adapter/encoding/key_casing.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "heap_adapter/encoding/unicode_text.h"

namespace heapsync {
namespace {

char32_t Lower(char32_t c) {
  const bool latin_1 = c >= 0xc0 && c <= 0xde && c != 0xd7;
  const bool greek = c >= 0x391 && c <= 0x3a9;
  const bool cyrillic = c >= 0x410 && c <= 0x42f;
  if (latin_1 || greek || cyrillic) return c + 0x20;
  return c >= 0x400 && c <= 0x40f ? c + 0x50 : c;
}

// Equal for keys that differ only in case; no text to show.
std::u32string Folded(absl::string_view key) {
  std::u32string folded;
  while (!key.empty()) {
    const auto byte = static_cast<unsigned char>(key.front());
    const Character character =
        byte < 0x80
            ? Character{static_cast<unsigned char>(absl::ascii_tolower(byte)),
                        1}
            : FirstCharacter(key);
    folded.push_back(Lower(character.code));
    key.remove_prefix(character.size);
  }
  return folded;
}

}  // namespace

std::vector<SameInAnotherCase> KeysThatDifferInCase(
    absl::Span<const absl::string_view> keys) {
  std::vector<std::pair<std::u32string, absl::string_view>> sorted;
  sorted.reserve(keys.size());
  for (const absl::string_view key : keys)
    sorted.emplace_back(Folded(key), key);
  std::sort(sorted.begin(), sorted.end());
  std::vector<SameInAnotherCase> found;
  for (size_t i = 1, first = 0; i < sorted.size(); ++i) {
    const auto& [folded, key] = sorted[i];
    if (folded != sorted[first].first) {
      first = i;
    } else if (key != sorted[i - 1].second) {
      found.push_back({.key = key, .earlier = sorted[first].second});
    }
  }
  return found;
}

}  // namespace heapsync
