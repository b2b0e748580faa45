#include "heap_adapter/spool/rocksdb/log_file.h"

#include <algorithm>
#include <array>
#include <optional>

namespace heapsync {
namespace {

constexpr size_t kBlockBytes = 32'768;
constexpr size_t kHeaderBytes = 7;

enum PartType : uint8_t { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

// CRC-32C, masked as RocksDB stores it.
uint32_t MaskedCrc(absl::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

struct Part {
  PartType type;
  absl::string_view payload;
  size_t bytes() const { return kHeaderBytes + payload.size(); }
};

// The record part at the start of `rest`, which extends to the end of its
// block.
std::optional<Part> PartAt(absl::string_view rest) {
  if (rest.size() < kHeaderBytes) return std::nullopt;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(rest[i]); };
  const size_t length = byte(4) | (byte(5) << 8);
  if (byte(6) < kWhole || byte(6) > kLast) return std::nullopt;
  if (kHeaderBytes + length > rest.size()) return std::nullopt;
  const uint32_t crc = byte(0) | (byte(1) << 8) | (byte(2) << 16) |
                       (static_cast<uint32_t>(byte(3)) << 24);
  if (crc != MaskedCrc(rest.substr(6, length + 1))) return std::nullopt;
  return Part{static_cast<PartType>(byte(6)),
              rest.substr(kHeaderBytes, length)};
}

}  // namespace

LogFile ReadLogFile(absl::string_view bytes) {
  LogFile file;
  std::string open;
  bool is_open = false;
  // Bytes since the last complete record that belong to none.
  uint64_t lost = 0;
  uint64_t open_bytes = 0;
  const auto give_up_open = [&] {
    lost += open_bytes;
    open_bytes = 0;
    is_open = false;
    open.clear();
  };
  const auto take = [&](absl::string_view last_part, uint64_t end) {
    open.append(last_part.data(), last_part.size());
    file.records.push_back(std::move(open));
    file.ends.push_back(end);
    open.clear();
    is_open = false;
    open_bytes = 0;
    file.damaged_bytes += lost;
    lost = 0;
  };
  for (size_t begin = 0; begin < bytes.size(); begin += kBlockBytes) {
    absl::string_view rest = bytes.substr(begin, kBlockBytes);
    while (!rest.empty()) {
      const bool is_trailer =
          rest.size() < kHeaderBytes && begin + kBlockBytes <= bytes.size() &&
          rest.find_first_not_of('\0') == absl::string_view::npos;
      if (is_trailer) break;
      const std::optional<Part> part = PartAt(rest);
      if (!part.has_value()) {
        give_up_open();
        ++lost;
        rest.remove_prefix(1);
        continue;
      }
      rest.remove_prefix(part->bytes());
      const uint64_t end = static_cast<uint64_t>(rest.data() - bytes.data());
      if (part->type == kWhole) {
        give_up_open();
        take(part->payload, end);
      } else if (part->type == kFirst) {
        give_up_open();
        is_open = true;
        open.assign(part->payload.data(), part->payload.size());
        open_bytes = part->bytes();
      } else if (!is_open) {
        lost += part->bytes();  // The record's first part is missing.
      } else if (part->type == kLast) {
        take(part->payload, end);
      } else {
        open.append(part->payload.data(), part->payload.size());
        open_bytes += part->bytes();
      }
    }
  }
  give_up_open();
  file.torn_bytes = lost;
  return file;
}

uint64_t SequenceOf(absl::string_view record) {
  uint64_t sequence = 0;
  for (size_t i = 0; i < std::min<size_t>(8, record.size()); ++i) {
    sequence |= uint64_t{static_cast<uint8_t>(record[i])} << (8 * i);
  }
  return sequence;
}

}  // namespace heapsync
