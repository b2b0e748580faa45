#ifndef HEAPSYNC_HEAP_ADAPTER_STREAM_BULK_TYPES_H_
#define HEAPSYNC_HEAP_ADAPTER_STREAM_BULK_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "heap_adapter/encoding/findings.h"
#include "heap_adapter/spool/receipt.h"

namespace heapsync {

// Bounds of one stream. Reading stops at them and goes on below them, so that a
// fast sender is slowed by flow control and a slow reader costs no memory.
struct BulkLimits {
  // Read, not yet durable. Small messages have to be many, or a stream waits
  // for the disk most of the time.
  int max_in_flight_messages = 32;
  size_t max_in_flight_bytes = 4 << 20;
  size_t max_unsent_bytes = 256 << 10;                 // refusals and previews
  size_t max_receipt_ranges = 16 * kMaxReceiptRanges;  // unsent
  size_t answer_bytes = 64 << 10;  // of one answer, approximately
};

// The level that a client asks for, and that an answer reports.
enum class BulkLevel { kPreview, kDurable, kDelivered };

enum class BulkVerdict { kAccepted, kRefused };
enum class ChunkPart { kMiddle, kEndOfMessage };
enum class WriteResult { kWritten, kFailed };

// Running totals of one stream, in items.
struct BulkTotals {
  uint64_t received = 0;
  uint64_t accepted = 0;
  uint64_t rejected = 0;
  uint64_t delivered = 0;
  uint64_t dead_lettered = 0;
  // Every item below this index is durable, or its refusal has been sent.
  uint64_t durable_position = 0;
};

// Warnings about one item.
struct WarnedItem {
  uint64_t index = 0;
  std::vector<Finding> warnings;
};

// Warnings of one rule that are counted only.
struct UnlistedWarnings {
  uint64_t count = 0;
  uint64_t first_index = 0;
  uint64_t last_index = 0;
};

struct BulkAnswer {
  BulkTotals totals;
  // kDelivered: everything accepted so far is settled.
  BulkLevel level = BulkLevel::kDurable;
  std::vector<SeqRange> receipt;  // at most kMaxReceiptRanges
  std::string refusals;           // encoded fields of the answer
  std::vector<std::string> previews;
  std::vector<WarnedItem> warned;                    // by increasing index
  std::map<std::string, UnlistedWarnings> unlisted;  // by reason
};

// The end of a stream.
struct BulkEnd {
  enum class Reason {
    kComplete,
    kRefused,  // by the call, which knows the error
    kNotStored,
    kShuttingDown,
    kCancelled,
    kSilent,  // for long, and its place was needed
  };
  Reason reason = Reason::kComplete;
  absl::Status status;    // kNotStored: the error of the append
  uint64_t accepted = 0;  // items
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_STREAM_BULK_TYPES_H_
