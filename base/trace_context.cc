#include "base/trace_context.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

// Upper case is not allowed.
std::optional<uint8_t> Nibble(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<uint8_t>(digit - '0');
  if (digit >= 'a' && digit <= 'f') {
    return static_cast<uint8_t>(digit - 'a' + 10);
  }
  return std::nullopt;
}

// Returns false unless `digits` has two hexadecimal digits for each byte.
bool ReadHex(absl::string_view digits, uint8_t* bytes, size_t count) {
  if (digits.size() != 2 * count) return false;
  for (size_t i = 0; i < count; ++i) {
    const auto high = Nibble(digits[2 * i]);
    const auto low = Nibble(digits[2 * i + 1]);
    if (!high.has_value() || !low.has_value()) return false;
    bytes[i] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return true;
}

template <typename Bytes>
bool AllZero(const Bytes& bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](uint8_t byte) { return byte == 0; });
}

}  // namespace

std::optional<TraceContext> TraceContext::Parse(absl::string_view text) {
  // "00-<32 digits>-<16 digits>-<2 digits>"
  constexpr size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' ||
      text[52] != '-') {
    return std::nullopt;
  }
  uint8_t version = 0;
  std::array<uint8_t, 8> parent{};
  TraceContext context;
  if (!ReadHex(text.substr(0, 2), &version, 1) ||
      !ReadHex(text.substr(3, 32), context.trace_id.data(),
               context.trace_id.size()) ||
      !ReadHex(text.substr(36, 16), parent.data(), parent.size()) ||
      !ReadHex(text.substr(53, 2), &context.flags, 1)) {
    return std::nullopt;
  }
  const bool known_end = text.size() == kLength;
  if (version == 0xff || (version == 0 && !known_end) ||
      (!known_end && text[kLength] != '-') || AllZero(context.trace_id) ||
      AllZero(parent)) {
    return std::nullopt;
  }
  context.flags &= 0x01;  // "sampled", the only flag that version 00 defines
  return context;
}

std::string TraceContext::TraceId() const {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(trace_id.data()), trace_id.size()));
}

std::string TraceContext::TraceParent(uint64_t span) const {
  return absl::StrCat("00-", TraceId(), "-", SpanId(span), "-",
                      absl::Hex(flags, absl::kZeroPad2));
}

std::string SpanId(uint64_t span) {
  return absl::StrCat(absl::Hex(span, absl::kZeroPad16));
}

}  // namespace heapsync
