#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_BLOCK_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_BLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/base/clock.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// One item as the spool keeps it.
struct StoredItem {
  Seq seq = 0;
  WallTime accepted_at;
  uint64_t identity_hash = 0;
  // How often a person sent this item again from the dead letters.
  uint32_t replays = 0;
  absl::string_view text;  // the JSON object that Heap gets
};

// Gathers consecutive items of one lane into the value of one record. One
// record for many items is what makes the spool cheap: its cost is per record.
// Larger blocks are compressed: items of one lane are much alike, and to
// compress them once costs less than to write, sum and move three times as many
// bytes afterwards.
class BlockBuilder {
 public:
  // `item.seq` is not stored: the block's place in the lane gives it.
  void Add(const StoredItem& item);

  size_t items() const { return count_; }
  size_t text_bytes() const { return text_.size(); }
  bool empty() const { return count_ == 0; }

  // The value; the builder is empty afterwards. `lane_bytes` is the text of all
  // items that the lane ever had, these included: the difference of two blocks'
  // tells how much stands between them without reading it.
  std::string Take(uint64_t lane_bytes);

 private:
  uint32_t count_ = 0;
  std::string table_;
  std::string text_;
};

// Reads a block's value. Damaged bytes are told, never believed: the items that
// come out are those that went in, or none.
class BlockReader {
 public:
  // `value` must outlive the reader, and the reader the texts of its items.
  // `last` is the sequence of the block's last item.
  BlockReader(absl::string_view value, Seq last);
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  // kDataLoss if the value is damaged; then there are no items.
  const absl::Status& status() const { return status_; }
  const std::vector<StoredItem>& items() const { return items_; }
  uint64_t lane_bytes() const { return lane_bytes_; }

 private:
  absl::Status Read(absl::string_view value, Seq last);

  absl::Status status_;
  uint64_t lane_bytes_ = 0;
  std::string body_;  // of a compressed block
  std::vector<StoredItem> items_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_BLOCK_H_
