#include "base/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace heapsync {
namespace {

constexpr uint64_t EveryByte(uint8_t byte) {
  return 0x0101010101010101u * byte;
}

bool IsPlain(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

// True if all eight bytes are plain. A borrow enters the next byte only from
// one that is not plain, so the result is never true by mistake.
bool AllPlain(uint64_t eight) {
  const uint64_t below_space = eight - EveryByte(0x20);
  const uint64_t quote = (eight ^ EveryByte('"')) - EveryByte(1);
  const uint64_t backslash = (eight ^ EveryByte('\\')) - EveryByte(1);
  return ((eight | below_space | quote | backslash) & EveryByte(0x80)) == 0;
}

uint64_t Load8(const char* from) {
  uint64_t eight;
  std::memcpy(&eight, from, sizeof(eight));
  return eight;
}

uint32_t Load4(const char* from) {
  uint32_t four;
  std::memcpy(&four, from, sizeof(four));
  return four;
}

// True if nothing in `raw` needs an escape or further checks. Uses overlapping
// reads instead of single bytes for the remainder: most keys and values are
// short.
bool IsAllPlain(absl::string_view raw) {
  const char* const data = raw.data();
  const size_t size = raw.size();
  if (size >= 8) {
    for (size_t at = 0; at + 8 < size; at += 8) {
      if (!AllPlain(Load8(data + at))) return false;
    }
    return AllPlain(Load8(data + size - 8));
  }
  if (size >= 4) {
    return AllPlain(Load4(data) | uint64_t{Load4(data + size - 4)} << 32);
  }
  return std::all_of(raw.begin(), raw.end(), [](char c) {
    return IsPlain(static_cast<unsigned char>(c));
  });
}

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

void AppendEscape(unsigned char c, std::string& json) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      json += "\\\"";
      return;
    case '\\':
      json += "\\\\";
      return;
    case '\n':
      json += "\\n";
      return;
    case '\r':
      json += "\\r";
      return;
    case '\t':
      json += "\\t";
      return;
    default:
      json += "\\u00";
      json += kHex[c >> 4];
      json += kHex[c & 0xf];
  }
}

std::optional<size_t> AppendMixed(absl::string_view raw, std::string& json) {
  size_t units = 0;
  size_t at = 0;
  while (at < raw.size()) {
    const auto c = static_cast<unsigned char>(raw[at]);
    if (c < 0x80 && !IsPlain(c)) {
      AppendEscape(c, json);
      ++units;
      ++at;
      continue;
    }
    // Everything up to the next escape is copied in one piece.
    const size_t start = at;
    bool line_separator = false;
    while (at < raw.size()) {
      const size_t plain_end = EndOfPlainText(raw, at);
      units += plain_end - at;
      at = plain_end;
      if (at == raw.size() || static_cast<unsigned char>(raw[at]) < 0x80) break;
      const size_t length = Utf8CharacterLength(raw.substr(at));
      if (length == 0) return std::nullopt;
      units += length == 4 ? 2 : 1;
      const absl::string_view character = raw.substr(at, length);
      line_separator = character == "\u2028" || character == "\u2029";
      if (line_separator) break;
      at += length;
    }
    json.append(raw.data() + start, at - start);
    if (line_separator) {
      json += raw[at + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      at += 3;
    }
  }
  return units;
}

}  // namespace

std::optional<size_t> AppendJsonText(absl::string_view raw, std::string& json) {
  if (!IsAllPlain(raw)) return AppendMixed(raw, json);
  json.append(raw.data(), raw.size());
  return raw.size();
}

std::optional<size_t> CountUtf16Units(absl::string_view raw) {
  size_t units = 0;
  for (size_t at = 0; at < raw.size();) {
    const size_t length = Utf8CharacterLength(raw.substr(at));
    if (length == 0) return std::nullopt;
    units += length == 4 ? 2 : 1;
    at += length;
  }
  return units;
}

size_t EndOfPlainText(absl::string_view json, size_t from) {
  size_t at = from;
  while (at + 8 <= json.size() && AllPlain(Load8(json.data() + at))) at += 8;
  while (at < json.size() && IsPlain(static_cast<unsigned char>(json[at]))) {
    ++at;
  }
  return at;
}

size_t Utf8CharacterLength(absl::string_view raw) {
  const auto first = static_cast<unsigned char>(raw[0]);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (raw.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(raw[i])) return 0;
  }
  const auto second = static_cast<unsigned char>(raw[1]);
  const bool overlong =
      (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond_unicode = first == 0xf4 && second >= 0x90;
  return overlong || surrogate || beyond_unicode ? 0 : length;
}

void AppendJsonNumber(double number, std::string& json) {
  // The shortest form of a double has at most 24 characters, such as
  // "-2.2250738585072014e-308".
  std::array<char, 32> text;
  std::to_chars_result written;
  if (std::abs(number) < kFirstInexactNumber && std::trunc(number) == number) {
    written = std::to_chars(text.data(), text.data() + text.size(),
                            static_cast<int64_t>(number));
  } else {
    written = std::to_chars(text.data(), text.data() + text.size(), number);
  }
  json.append(text.data(), static_cast<size_t>(written.ptr - text.data()));
}

}  // namespace heapsync
