#include "heap_adapter/spool/coding.h"

namespace heapsync {

void AppendVarint(std::string& bytes, uint64_t value) {
  while (value >= 0x80) {
    bytes.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes.push_back(static_cast<char>(value));
}

void AppendFixed64(std::string& bytes, uint64_t value) {
  char raw[8];
  for (int i = 0; i < 8; ++i) raw[i] = static_cast<char>(value >> (8 * i));
  bytes.append(raw, sizeof(raw));
}

void AppendBigEndian32(std::string& bytes, uint32_t value) {
  char raw[4];
  for (int i = 0; i < 4; ++i) raw[i] = static_cast<char>(value >> (24 - 8 * i));
  bytes.append(raw, sizeof(raw));
}

void AppendBigEndian64(std::string& bytes, uint64_t value) {
  AppendBigEndian32(bytes, static_cast<uint32_t>(value >> 32));
  AppendBigEndian32(bytes, static_cast<uint32_t>(value));
}

void AppendText(std::string& bytes, absl::string_view text) {
  AppendVarint(bytes, text.size());
  bytes.append(text.data(), text.size());
}

absl::string_view Reader::Bytes(size_t count) {
  if (!ok_ || count > rest_.size()) {
    ok_ = false;
    return {};
  }
  const absl::string_view bytes = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return bytes;
}

uint64_t Reader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const absl::string_view byte = Bytes(1);
    if (byte.empty()) return 0;
    const uint64_t bits = static_cast<unsigned char>(byte[0]);
    if (shift == 63 && bits > 1) break;
    // Each number has exactly one encoding: the last byte is zero only for the
    // number zero.
    if (shift > 0 && bits == 0) break;
    value |= (bits & 0x7f) << shift;
    if (bits < 0x80) return value;
  }
  ok_ = false;
  return 0;
}

uint32_t Reader::Varint32() {
  const uint64_t value = Varint();
  if (value <= UINT32_MAX) return static_cast<uint32_t>(value);
  ok_ = false;
  return 0;
}

uint64_t Reader::Fixed64() {
  uint64_t value = 0;
  const absl::string_view raw = Bytes(8);
  for (size_t i = raw.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(raw[i]);
  }
  return value;
}

uint32_t Reader::BigEndian32() {
  uint32_t value = 0;
  for (const char c : Bytes(4)) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

uint64_t Reader::BigEndian64() {
  const uint64_t high = BigEndian32();
  return high << 32 | BigEndian32();
}

absl::string_view Reader::Text() { return Bytes(Varint()); }

}  // namespace heapsync
