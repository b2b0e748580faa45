#include "heap_adapter/encoding/unicode_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "absl/strings/ascii.h"
#include "base/json_text.h"

namespace heapsync {
namespace {

constexpr char32_t kNotUtf8 = 0xffffffff;

struct CharacterRange {
  char32_t first;
  char32_t last;
};

// Control characters, White_Space, Cf and Default_Ignorable_Code_Point of
// Unicode 15, and the two blanks that are none by their properties: U+2800 and
// U+3164.
constexpr std::array kBlanks = std::to_array<CharacterRange>({
    {0x0, 0x20},        {0x7f, 0xa0},       {0xad, 0xad},
    {0x34f, 0x34f},     {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},
    {0x8e2, 0x8e2},     {0x115f, 0x1160},   {0x1680, 0x1680},
    {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},
    {0x2028, 0x202f},   {0x205f, 0x206f},   {0x2800, 0x2800},
    {0x3000, 0x3000},   {0x3164, 0x3164},   {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
    {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f},
    {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
});

// Beyond ASCII: what texts of nothing but punctuation are made of, and the
// replacement characters of a failed conversion.
constexpr std::array kPunctuation = std::to_array<CharacterRange>({
    {0xa1, 0xa9},
    {0xab, 0xac},
    {0xae, 0xb1},
    {0xb4, 0xb4},
    {0xb6, 0xb8},
    {0xbb, 0xbb},
    {0xbf, 0xbf},
    {0x2010, 0x2027},
    {0x2030, 0x205e},
    {0x2212, 0x2212},
    {0x3001, 0x3003},
    {0x3008, 0x3011},
    {0xff01, 0xff0f},
    {0xff1a, 0xff20},
    {0xfffc, 0xfffd},
});

// Brackets and quotes around a text, opening or closing. Halves of a pair
// count, too: they are left over when a quoted text is cut wrongly.
constexpr std::array kBracketsAndQuotes = std::to_array<char32_t>({
    '[',    ']',    '<',    '>',    '(',    ')',    '{',    '}',
    '"',    '\'',   '`',    0xab,   0xbb,   0x2018, 0x2019, 0x201a,
    0x201c, 0x201d, 0x201e, 0x2039, 0x203a, 0x300c, 0x300d,
});

template <size_t kSize>
bool IsIn(const std::array<CharacterRange, kSize>& ranges, char32_t c) {
  const auto* const range = std::upper_bound(
      ranges.begin(), ranges.end(), c,
      [](char32_t value, const CharacterRange& r) { return value < r.first; });
  return range != ranges.begin() && c <= (range - 1)->last;
}

// True if eight bytes are ASCII from the blank to the tilde. A borrow enters
// the next byte only from one that is not, so it is never true by mistake.
bool AllPrintable(const char* from) {
  constexpr auto every_byte = [](uint8_t byte) {
    return 0x0101010101010101u * byte;
  };
  uint64_t eight;
  std::memcpy(&eight, from, sizeof(eight));
  const uint64_t below_blank = eight - every_byte(0x20);
  const uint64_t del = (eight ^ every_byte(0x7f)) - every_byte(1);
  return ((eight | below_blank | del) & every_byte(0x80)) == 0;
}

}  // namespace

bool IsBlankCharacter(char32_t c) {
  return c < 0x7f ? c <= 0x20 : IsIn(kBlanks, c);
}

bool IsPunctuation(char32_t c) {
  return c < 0x80 ? absl::ascii_ispunct(static_cast<unsigned char>(c))
                  : IsIn(kPunctuation, c);
}

bool IsBracketOrQuote(char32_t c) {
  return std::find(kBracketsAndQuotes.begin(), kBracketsAndQuotes.end(), c) !=
         kBracketsAndQuotes.end();
}

Character FirstCharacter(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  switch (Utf8CharacterLength(text)) {
    case 1:
      return {byte(0), 1};
    case 2:
      return {(byte(0) & 0x1f) << 6 | (byte(1) & 0x3f), 2};
    case 3:
      return {(byte(0) & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f),
              3};
    case 4:
      return {(byte(0) & 7) << 18 | (byte(1) & 0x3f) << 12 |
                  (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f),
              4};
    default:
      return {kNotUtf8, 1};
  }
}

Character LastCharacter(absl::string_view text) {
  size_t size = 1;
  while (size < 4 && size < text.size() &&
         (static_cast<unsigned char>(text[text.size() - size]) & 0xc0) ==
             0x80) {
    ++size;
  }
  const Character last = FirstCharacter(text.substr(text.size() - size));
  return last.size == size ? last : Character{kNotUtf8, 1};
}

bool IsBlank(absl::string_view text) {
  return Stripped(text, IsBlankCharacter).empty();
}

bool IsPrintableAscii(absl::string_view text) {
  const char* const data = text.data();
  const size_t size = text.size();
  if (size >= sizeof(uint64_t)) {
    // The last bytes are looked at twice rather than one by one.
    for (size_t at = 0; at + sizeof(uint64_t) < size; at += sizeof(uint64_t)) {
      if (!AllPrintable(data + at)) return false;
    }
    return AllPrintable(data + size - sizeof(uint64_t));
  }
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool HasControlCharacter(absl::string_view text) {
  if (IsPrintableAscii(text)) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    // U+0080 to U+009F.
    if (byte == 0xc2 && i + 1 < text.size() &&
        static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
        static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      return true;
    }
  }
  return false;
}

}  // namespace heapsync
