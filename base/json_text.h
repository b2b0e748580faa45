#ifndef HEAPSYNC_BASE_JSON_TEXT_H_
#define HEAPSYNC_BASE_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// 2^53: from here on, different integers have the same double, so that one may
// stand for another (2^53 + 1 reads as 2^53).
inline constexpr double kFirstInexactNumber = 9007199254740992.0;

// Maximum number of UTF-8 bytes per UTF-16 unit. A text with more than three
// times as many bytes as allowed units is therefore too long in any case.
inline constexpr size_t kMaxUtf8BytesPerUnit = 3;

// Appends `raw` to `json` as the contents of a JSON string (without the quotes)
// and returns its length in UTF-16 units, in one pass. Escapes the characters
// that JSON requires, and U+2028 and U+2029, which are line terminators in
// JavaScript. Returns nullopt if `raw` is not UTF-8 (RFC 3629: no surrogates,
// no overlong forms); `json` then ends with a partial text that the caller must
// cut off.
std::optional<size_t> AppendJsonText(absl::string_view raw, std::string& json);

// Length in UTF-16 units; nullopt if `raw` is not UTF-8.
std::optional<size_t> CountUtf16Units(absl::string_view raw);

// Index of the first byte of `json` at or after `from` that is not plain: a
// quote, a backslash, a control character or a part of a character beyond
// ASCII; the size of `json` if there is none.
size_t EndOfPlainText(absl::string_view json, size_t from);

// Size of the UTF-8 character at the start of `raw`, 1 to 4 bytes, or 0 if
// there is no valid one. REQUIRES: `raw` is not empty.
size_t Utf8CharacterLength(absl::string_view raw);

// Appends the shortest text that parses to the same double: integers below 2^53
// as digits only, "-0" as "0". REQUIRES: `number` is finite.
void AppendJsonNumber(double number, std::string& json);

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_JSON_TEXT_H_
