#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_UNICODE_TEXT_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_UNICODE_TEXT_H_

#include <cstddef>

#include "absl/strings/string_view.h"

// Characters as far as names need them. Nothing here depends on a locale.
namespace heapsync {

// True for characters that show nothing: control characters, and Unicode's
// White_Space, format characters (Cf) and default ignorables.
bool IsBlankCharacter(char32_t c);

// True for punctuation and symbols that do not tell names apart: those of
// ASCII, the common ones of Unicode, and the replacement character that is left
// of a failed conversion.
bool IsPunctuation(char32_t c);

// True for brackets and quotes, opening or closing.
bool IsBracketOrQuote(char32_t c);

struct Character {
  char32_t code;  // a byte that is not UTF-8: 0xffffffff
  size_t size;    // bytes
};

// REQUIRES: `text` is not empty.
Character FirstCharacter(absl::string_view text);
Character LastCharacter(absl::string_view text);

// `text` without the characters at both ends for which `strip(char32_t)` is
// true.
template <typename Strip>
absl::string_view Stripped(absl::string_view text, Strip strip) {
  while (!text.empty()) {
    const Character first = FirstCharacter(text);
    if (!strip(first.code)) break;
    text.remove_prefix(first.size);
  }
  while (!text.empty()) {
    const Character last = LastCharacter(text);
    if (!strip(last.code)) break;
    text.remove_suffix(last.size);
  }
  return text;
}

// True if `text` has nothing but blank characters, or nothing at all.
bool IsBlank(absl::string_view text);

// True if all bytes of `text` are ASCII from the blank to the tilde.
bool IsPrintableAscii(absl::string_view text);

// True if `text` has a control character: U+0000 to U+001F, U+007F to U+009F.
bool HasControlCharacter(absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_UNICODE_TEXT_H_
