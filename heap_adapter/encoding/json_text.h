#ifndef HEAPSYNC_HEAP_ADAPTER_ENCODING_JSON_TEXT_H_
#define HEAPSYNC_HEAP_ADAPTER_ENCODING_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// 2^53: up to here every whole number has a double of its own.
inline constexpr double kMaxWholeNumber = 9007199254740992.0;

// Most bytes of UTF-8 that one UTF-16 unit takes: text of more than three times
// as many bytes as units are allowed is too long, whatever stands in it.
inline constexpr size_t kMaxUtf8BytesPerUnit = 3;

// Appends `raw` to `json` as the inside of a JSON string (without the quotes)
// and returns its length in UTF-16 units, in one pass. Escapes what JSON
// demands, and U+2028 and U+2029, which are line ends to JavaScript. Returns
// nothing if `raw` is not UTF-8 (RFC 3629: no surrogates, no overlong forms);
// `json` then ends with an unfinished part of it, for the caller to cut off.
std::optional<size_t> AppendJsonText(absl::string_view raw, std::string& json);

// Length in UTF-16 units; nothing if `raw` is not UTF-8.
std::optional<size_t> CountUtf16Units(absl::string_view raw);

// Bytes of the UTF-8 character that `raw` starts with: 1 to 4, or 0 if it is
// not one. REQUIRES: `raw` is not empty.
size_t Utf8CharacterLength(absl::string_view raw);

// Appends the shortest text that reads back as the same double: whole numbers
// up to 2^53 as digits only, "-0" as "0". REQUIRES: `number` is finite.
void AppendJsonNumber(double number, std::string& json);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENCODING_JSON_TEXT_H_
