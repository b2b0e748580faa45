#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_CODING_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_CODING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// The byte forms of which stored keys and values are made.

// LEB128, as protobuf's varints.
void AppendVarint(std::string& bytes, uint64_t value);

// Little endian, eight bytes.
void AppendFixed64(std::string& bytes, uint64_t value);

// Big endian, so that keys sort as numbers.
void AppendBigEndian32(std::string& bytes, uint32_t value);
void AppendBigEndian64(std::string& bytes, uint64_t value);

// A varint length, then the bytes.
void AppendText(std::string& bytes, absl::string_view text);

// Reads the forms above, and nothing but what Append… writes, from bytes that
// may be damaged. After the first misread
// ok() is false and every read gives zero or an empty text.
class Reader {
 public:
  // `bytes` must outlive the reader and the texts that it gives.
  explicit Reader(absl::string_view bytes) : rest_(bytes) {}

  uint64_t Varint();
  uint32_t Varint32();
  uint64_t Fixed64();
  uint32_t BigEndian32();
  uint64_t BigEndian64();
  absl::string_view Text();
  absl::string_view Bytes(size_t count);

  bool ok() const { return ok_; }
  // Everything was read, and read well.
  bool AtEnd() const { return ok_ && rest_.empty(); }
  absl::string_view rest() const { return rest_; }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_CODING_H_
