#include "heap_adapter/spool/block.h"

#include <lz4.h>
#include <xxhash.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

// Block format: format (1 byte), XXH3-64 of everything that follows (8), bytes
// of the lane so far, item count, body. The body is a table followed by the
// texts; a compressed body is its size followed by an LZ4 block. A row of the
// table is: identity hash (8), acceptance in microseconds since 1970 (8),
// replays, text length. Numbers without a size are varints.
constexpr char kPlain = 1;
constexpr char kCompressed = 2;
constexpr size_t kHead = 9;
constexpr size_t kSmallestRow = 8 + 8 + 1 + 1;
// Compressing smaller bodies would save little.
constexpr size_t kSmallestCompressed = 512;
// Maximum size of a body, and maximum compression ratio.
constexpr size_t kMaxBody = 256 << 20;
constexpr size_t kMaxShrunk = 255;

// Appends the size and the compressed body. Returns false if that would save
// less than an eighth.
bool AppendCompressed(absl::string_view body, std::string& value) {
  if (body.size() < kSmallestCompressed || body.size() > kMaxBody) {
    return false;
  }
  const size_t before = value.size();
  AppendVarint(value, body.size());
  const size_t start = value.size();
  const size_t space = body.size() - body.size() / 8;
  value.resize(start + space);
  const int size = LZ4_compress_default(body.data(), value.data() + start,
                                        static_cast<int>(body.size()),
                                        static_cast<int>(space));
  value.resize(size > 0 ? start + static_cast<size_t>(size) : before);
  return size > 0;
}

// The decompressed body; none if it is malformed.
std::optional<std::string> Decompress(Reader& reader) {
  const uint64_t size = reader.Varint();
  const absl::string_view packed = reader.rest();
  if (!reader.ok() || size < kSmallestCompressed || size > kMaxBody ||
      size / kMaxShrunk > packed.size()) {
    return std::nullopt;
  }
  std::string body(size, '\0');
  const int written = LZ4_decompress_safe(packed.data(), body.data(),
                                          static_cast<int>(packed.size()),
                                          static_cast<int>(body.size()));
  if (written < 0 || static_cast<uint64_t>(written) != size) {
    return std::nullopt;
  }
  return body;
}

}  // namespace

void BlockBuilder::Add(const StoredItem& item) {
  AppendFixed64(table_, item.identity_hash);
  AppendFixed64(table_, static_cast<uint64_t>(
                            item.accepted_at.time_since_epoch().count()));
  AppendVarint(table_, item.replays);
  AppendVarint(table_, item.text.size());
  text_.append(item.text.data(), item.text.size());
  ++count_;
}

std::string BlockBuilder::Take(uint64_t lane_bytes) {
  table_ += text_;
  std::string value;
  value.reserve(kHead + 10 + 5 + table_.size());
  value.push_back(kCompressed);
  AppendFixed64(value, 0);
  AppendVarint(value, lane_bytes);
  AppendVarint(value, count_);
  if (!AppendCompressed(table_, value)) {
    value[0] = kPlain;
    value += table_;
  }
  std::string checksum;
  AppendFixed64(checksum,
                XXH3_64bits(value.data() + kHead, value.size() - kHead));
  value.replace(1, checksum.size(), checksum);
  count_ = 0;
  table_.clear();
  text_.clear();
  return value;
}

BlockReader::BlockReader(absl::string_view value, Seq last) {
  status_ = Read(value, last);
  if (!status_.ok()) items_.clear();
}

absl::Status BlockReader::Read(absl::string_view value, Seq last) {
  Reader head(value);
  const absl::string_view format = head.Bytes(1);
  const uint64_t checksum = head.Fixed64();
  if (!head.ok() || (format[0] != kPlain && format[0] != kCompressed) ||
      checksum != XXH3_64bits(head.rest().data(), head.rest().size())) {
    return absl::DataLossError(
        absl::StrCat("the block that ends at item ", last, " is damaged"));
  }
  const absl::Status malformed = absl::DataLossError(
      absl::StrCat("the block that ends at item ", last, " is malformed"));
  lane_bytes_ = head.Varint();
  const uint64_t count = head.Varint();
  if (format[0] == kCompressed) {
    std::optional<std::string> body = Decompress(head);
    if (!body.has_value()) return malformed;
    body_ = *std::move(body);
  }
  Reader reader(format[0] == kCompressed ? absl::string_view(body_)
                                         : head.rest());
  if (!head.ok() || count == 0 || count > last + 1 ||
      count > reader.rest().size() / kSmallestRow) {
    return malformed;
  }
  items_.resize(count);
  std::vector<uint64_t> sizes(count);
  for (uint64_t i = 0; i < count; ++i) {
    StoredItem& item = items_[i];
    item.seq = last + 1 - count + i;
    item.identity_hash = reader.Fixed64();
    item.accepted_at =
        WallTime(Duration(static_cast<int64_t>(reader.Fixed64())));
    item.replays = reader.Varint32();
    sizes[i] = reader.Varint();
  }
  for (uint64_t i = 0; i < count; ++i) {
    items_[i].text = reader.Bytes(sizes[i]);
  }
  return reader.AtEnd() ? absl::OkStatus() : malformed;
}

}  // namespace heapsync
