#include "heap_adapter/spool/block.h"

#include <xxhash.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/coding.h"

namespace heapsync {
namespace {

// A block is: format (1 byte), XXH3-64 of all that follows (8), bytes of the
// lane so far, item count, table, text. A row of the table is: identity hash
// (8), acceptance in microseconds since 1970 (8), replays, text length.
constexpr char kFormat = 1;
constexpr size_t kSmallestRow = 8 + 8 + 1 + 1;

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
  std::string value;
  value.reserve(1 + 8 + 10 + 5 + table_.size() + text_.size());
  value.push_back(kFormat);
  AppendFixed64(value, 0);
  AppendVarint(value, lane_bytes);
  AppendVarint(value, count_);
  value += table_;
  value += text_;
  constexpr size_t kHead = 9;
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
  Reader reader(value);
  const absl::string_view format = reader.Bytes(1);
  const uint64_t checksum = reader.Fixed64();
  if (!reader.ok() || format[0] != kFormat ||
      checksum != XXH3_64bits(reader.rest().data(), reader.rest().size())) {
    status_ = absl::DataLossError(
        absl::StrCat("the block that ends at item ", last, " is damaged"));
    return;
  }
  lane_bytes_ = reader.Varint();
  const uint64_t count = reader.Varint();
  if (count == 0 || count > last + 1 ||
      count > reader.rest().size() / kSmallestRow) {
    status_ = absl::DataLossError(
        absl::StrCat("the block that ends at item ", last, " is malformed"));
    return;
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
  if (!reader.AtEnd()) {
    items_.clear();
    status_ = absl::DataLossError(
        absl::StrCat("the block that ends at item ", last, " is malformed"));
  }
}

}  // namespace heapsync
