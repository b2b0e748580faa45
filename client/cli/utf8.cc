#include "client/cli/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heapsync {
namespace {

// Length of the well-formed character at the front; 0 if there is none.
size_t CharacterLength(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    if (first == 0xED && byte(1) > 0x9F) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) > 0x8F) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    uint64_t word;
    while (text.size() >= sizeof(word)) {
      std::memcpy(&word, text.data(), sizeof(word));
      if ((word & 0x8080808080808080u) != 0) break;
      text.remove_prefix(sizeof(word));
    }
    if (text.empty()) break;
    const size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

namespace {

bool IsInvisible(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0xAD ||
         (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

bool IsCombiningMark(uint32_t code) { return code >= 0x300 && code <= 0x36F; }

bool IsBlankBeyondAscii(uint32_t code) {
  return code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

struct CodePoint {
  uint32_t code;
  size_t bytes;  // 0: not UTF-8
};

// REQUIRES: `text` is not empty.
CodePoint FirstCodePoint(absl::string_view text) {
  const auto first = static_cast<uint8_t>(text.front());
  const size_t bytes = CharacterLength(text);
  if (bytes <= 1) return {first, bytes};
  uint32_t code = first & (0xFFu >> (bytes + 1));
  for (const char byte : text.substr(1, bytes - 1)) {
    code = code << 6 | (static_cast<uint8_t>(byte) & 0x3Fu);
  }
  return {code, bytes};
}

enum class Notation { kLine, kLines, kJson, kName, kAscii };

bool IsShown(uint32_t code, Notation notation) {
  switch (notation) {
    case Notation::kLines:
      if (code == '\n' || code == '\t') return true;
      break;
    case Notation::kName:
      if (IsCombiningMark(code) || IsBlankBeyondAscii(code)) return false;
      break;
    case Notation::kAscii:
      if (code >= 0x80) return false;
      break;
    case Notation::kLine:
    case Notation::kJson:
      break;
  }
  return !IsInvisible(code);
}

std::string Escape(absl::string_view text, Notation notation) {
  std::string result;
  while (!text.empty()) {
    const auto [code, bytes] = FirstCodePoint(text);
    if (bytes == 0) {
      absl::StrAppendFormat(&result, "\\x%02x", code);
      text.remove_prefix(1);
      continue;
    }
    if (IsShown(code, notation)) {
      absl::StrAppend(&result, text.substr(0, bytes));
    } else if (code < 0x80 && notation != Notation::kJson) {
      absl::StrAppendFormat(&result, "\\x%02x", code);
    } else {
      absl::StrAppendFormat(&result, "\\u%04x", code);
    }
    text.remove_prefix(bytes);
  }
  return result;
}

}  // namespace

std::string Printable(absl::string_view text) {
  return Escape(text, Notation::kLine);
}

std::string PrintableName(absl::string_view name) {
  return Escape(name, Notation::kName);
}

std::string CodePointsOf(absl::string_view name) {
  return Escape(name, Notation::kAscii);
}

bool LooksLike(absl::string_view name, absl::string_view other) {
  // The next letter, and whether marks follow it.
  struct Letter {
    uint32_t code;
    bool marked;
  };
  const auto next = [](absl::string_view& rest) {
    const auto remove = [&rest](CodePoint point) {
      rest.remove_prefix(point.bytes == 0 ? 1 : point.bytes);
    };
    const CodePoint letter = FirstCodePoint(rest);
    remove(letter);
    bool marked = false;
    while (!rest.empty() && IsCombiningMark(FirstCodePoint(rest).code)) {
      remove(FirstCodePoint(rest));
      marked = true;
    }
    return Letter{letter.code, marked};
  };
  if (name == other) return false;
  while (!name.empty() && !other.empty()) {
    const Letter a = next(name);
    const Letter b = next(other);
    const bool one_is_whole = a.marked != b.marked;
    const Letter& whole = a.marked ? b : a;
    const Letter& marked = a.marked ? a : b;
    const bool alike = one_is_whole ? whole.code >= 0x80 && marked.code < 0x80
                                    : a.code == b.code;
    if (!alike) return false;
  }
  return name.empty() && other.empty();
}

std::string PrintableLines(absl::string_view text) {
  return Escape(text, Notation::kLines);
}

std::string PrintableJson(absl::string_view json) {
  return Escape(json, Notation::kJson);
}

}  // namespace heapsync
