#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_RECEIPT_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_RECEIPT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// Identifies accepted items. It needs no storage: it contains the place of the
// items in the spool, from which their state follows.
struct Receipt {
  uint64_t spool_id = 0;
  LaneId lane = 0;
  std::vector<SeqRange> items;  // in the order of acceptance

  // "r1." and base64url; safe in URLs and on command lines.
  std::string Encode() const;

  // Errors: kInvalidArgument for text that Encode() does not return. The
  // checksum catches typing errors; it is not a signature.
  static absl::StatusOr<Receipt> Decode(absl::string_view text);

  friend bool operator==(const Receipt&, const Receipt&) = default;
};

// Maximum number of ranges in a receipt.
inline constexpr size_t kMaxReceiptRanges = 64;

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_RECEIPT_H_
