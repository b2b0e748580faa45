#include "heap_adapter/transport/named_item.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

// True if text after `c` would be the middle of a longer path or word.
bool ContinuesPath(char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == '$' || c == '.' ||
         c == '-' || c == ']';
}

}  // namespace

std::optional<size_t> NamedItem(absl::string_view text,
                                absl::string_view array_key,
                                size_t batch_size) {
  const std::string root = absl::StrCat("postBody.", array_key, "[");
  std::optional<size_t> named;
  for (size_t at = text.find(root); at != absl::string_view::npos;
       at = text.find(root, at + root.size())) {
    if (at > 0 && ContinuesPath(text[at - 1])) continue;
    const absl::string_view tail = text.substr(at + root.size());
    const absl::string_view digits = tail.substr(0, tail.find(']'));
    size_t index = 0;
    // SimpleAtoi alone would accept signs and spaces.
    if (digits.size() == tail.size() ||
        !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(digits, &index) || index >= batch_size ||
        (named.has_value() && *named != index)) {
      return std::nullopt;
    }
    named = index;
  }
  return named;
}

}  // namespace heapsync
