#ifndef HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ORDER_H_
#define HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ORDER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/chunk_encoder.h"
#include "heap_adapter/inspection/dead_letter_admin.h"

namespace heapsync {

// The body of a command to replay or discard dead letters. Decode() returns
// kDataLoss for bytes that Encode() does not write.
struct DeadLetterOrder {
  std::vector<DeadLetterPlace> places;
  bool force = false;                   // see DeadLetterRules
  std::optional<EncodedChunk> instead;  // see DeadLetterAdmin::Replay()

  std::string Encode() const;
  static absl::StatusOr<DeadLetterOrder> Decode(absl::string_view bytes);
};

// The body of the answer: what became of each letter.
std::string EncodeResults(const std::vector<DeadLetterResult>& results);
absl::StatusOr<std::vector<DeadLetterResult>> DecodeResults(
    absl::string_view bytes);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INSPECTION_DEAD_LETTER_ORDER_H_
