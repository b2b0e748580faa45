#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_CODING_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_CODING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Encodings used in stored keys and values.

// LEB128, like protobuf's varints.
void AppendVarint(std::string& bytes, uint64_t value);

// Little endian, eight bytes.
void AppendFixed64(std::string& bytes, uint64_t value);

// Big endian, so that keys sort in numeric order.
void AppendBigEndian32(std::string& bytes, uint32_t value);
void AppendBigEndian64(std::string& bytes, uint64_t value);

// A varint length, then the bytes.
void AppendText(std::string& bytes, absl::string_view text);

// Decodes these encodings from bytes that may be damaged. Accepts only what the
// Append functions write. After the first error ok() is false, and every read
// returns zero or an empty text.
class Reader {
 public:
  // `bytes` must outlive the reader and the texts that it returns.
  explicit Reader(absl::string_view bytes) : rest_(bytes) {}

  uint64_t Varint();
  uint32_t Varint32();
  uint64_t Fixed64();
  uint32_t BigEndian32();
  uint64_t BigEndian64();
  absl::string_view Text();
  absl::string_view Bytes(size_t count);

  bool ok() const { return ok_; }
  // True if everything was read without an error.
  bool AtEnd() const { return ok_ && rest_.empty(); }
  absl::string_view rest() const { return rest_; }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_CODING_H_
