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

enum class Notation { kLine, kLines, kJson };

std::string Escape(absl::string_view text, Notation notation) {
  std::string result;
  while (!text.empty()) {
    const uint8_t first = static_cast<uint8_t>(text.front());
    const size_t bytes = CharacterLength(text);
    if (bytes == 0) {
      absl::StrAppendFormat(&result, "\\x%02x", first);
      text.remove_prefix(1);
      continue;
    }
    const absl::string_view character = text.substr(0, bytes);
    uint32_t code = first;
    if (bytes > 1) {
      code = first & (0xFFu >> (bytes + 1));
      for (const char byte : character.substr(1)) {
        code = code << 6 | (static_cast<uint8_t>(byte) & 0x3Fu);
      }
    }
    const bool kept =
        notation == Notation::kLines && (code == '\n' || code == '\t');
    if (kept || !IsInvisible(code)) {
      absl::StrAppend(&result, character);
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

std::string PrintableLines(absl::string_view text) {
  return Escape(text, Notation::kLines);
}

std::string PrintableJson(absl::string_view json) {
  return Escape(json, Notation::kJson);
}

}  // namespace heapsync
