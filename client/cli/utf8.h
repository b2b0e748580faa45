#ifndef HEAPSYNC_CLIENT_CLI_UTF8_H_
#define HEAPSYNC_CLIENT_CLI_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Whether `text` is well-formed UTF-8 (Unicode table 3-7: no surrogates, no
// overlong forms, nothing above U+10FFFF).
bool IsValidUtf8(absl::string_view text);

// The text for a terminal or a log: bytes that are not UTF-8, and control and
// invisible formatting characters, which could move the cursor or reorder what
// is read, are escaped (\x1b, \u202e).
std::string Printable(absl::string_view text);

// The same for a name that is compared with others: combining marks and blanks
// beyond ASCII are escaped as well ("cafe\u0301", not "café").
std::string PrintableName(absl::string_view name);

// The same with all characters beyond ASCII escaped ("caf\u00e9").
std::string CodePointsOf(absl::string_view name);

// True if two different names look the same where letters with accents are
// shown: one has an accented letter as one character, the other as two
// (Unicode's NFC and NFD). Knows no other characters that look alike.
bool LooksLike(absl::string_view name, absl::string_view other);

// As Printable(), with line breaks and tabs left as they are.
std::string PrintableLines(absl::string_view text);

// The same JSON, with such characters escaped as JSON does (\u009b).
std::string PrintableJson(absl::string_view json);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_UTF8_H_
