#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_BLOCK_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_BLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// One item as it is stored.
struct StoredItem {
  Seq seq = 0;
  WallTime accepted_at;
  uint64_t identity_hash = 0;
  // Number of times this item was replayed from the dead letters.
  uint32_t replays = 0;
  absl::string_view text;  // the JSON object that is sent to Heap
};

// Collects consecutive items of one lane into the value of one record. The
// spool is cheap because its cost is per record, and one record holds many
// items. Larger blocks are compressed: items of one lane are similar, and
// compressing them once costs less than writing, checksumming and moving three
// times as many bytes.
class BlockBuilder {
 public:
  // `item.seq` is not stored: the block's place in the lane gives it.
  void Add(const StoredItem& item);

  size_t items() const { return count_; }
  size_t text_bytes() const { return text_.size(); }
  bool empty() const { return count_ == 0; }

  // Returns the value; the builder is empty afterwards. `lane_bytes` is the
  // number of bytes of text of all items that the lane ever had, including
  // these. The difference between two blocks is the size of the items between
  // them.
  std::string Take(uint64_t lane_bytes);

 private:
  uint32_t count_ = 0;
  std::string table_;
  std::string text_;
};

// Decodes the value of a block. Damage is always detected: the result is either
// exactly the items that were added, or none.
class BlockReader {
 public:
  // `value` must outlive the reader, and the reader the texts of its items.
  // `last` is the sequence of the block's last item.
  BlockReader(absl::string_view value, Seq last);
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  // kDataLoss if the value is damaged; there are no items then.
  const absl::Status& status() const { return status_; }
  const std::vector<StoredItem>& items() const { return items_; }
  uint64_t lane_bytes() const { return lane_bytes_; }

 private:
  absl::Status Read(absl::string_view value, Seq last);

  absl::Status status_;
  uint64_t lane_bytes_ = 0;
  std::string body_;  // decompressed body, which the items refer to
  std::vector<StoredItem> items_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_BLOCK_H_
