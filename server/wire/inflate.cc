#include "server/wire/inflate.h"

#include <zlib.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"

namespace heapsync {
namespace {

constexpr size_t kFirstBytes = 16 << 10;
// Of zlib: the largest window, and what makes it expect gzip's head.
constexpr int kWindowBits = 15;
constexpr int kWithGzipHead = 16;

absl::Status Malformed() {
  return absl::InvalidArgumentError(
      "the compressed bytes are cut off or damaged");
}

}  // namespace

absl::StatusOr<std::string> Inflate(
    google::protobuf::io::ZeroCopyInputStream& packed, Compression compression,
    size_t max_bytes) {
  z_stream stream{};
  const int window_bits =
      kWindowBits + (compression == Compression::kGzip ? kWithGzipHead : 0);
  if (inflateInit2(&stream, window_bits) != Z_OK) {
    return absl::ResourceExhaustedError("there is no memory to inflate");
  }
  const absl::Cleanup end = [&stream] { inflateEnd(&stream); };
  // One byte beyond the maximum shows that there is more.
  const size_t capacity = max_bytes + 1;
  std::string inflated;
  size_t size = 0;
  int result = Z_OK;
  const void* data = nullptr;
  int length = 0;
  while (packed.Next(&data, &length)) {
    // After the end, other bytes must not follow.
    if (result == Z_STREAM_END && length > 0) return Malformed();
    stream.next_in = static_cast<Bytef*>(const_cast<void*>(data));
    stream.avail_in = static_cast<uInt>(length);
    // Output may still wait inside zlib when all input is taken.
    for (bool more = length > 0; more;) {
      if (size == inflated.size()) {
        inflated.resize(
            std::min(capacity, std::max(kFirstBytes, 2 * inflated.size())));
      }
      stream.next_out = reinterpret_cast<Bytef*>(inflated.data()) + size;
      stream.avail_out = static_cast<uInt>(inflated.size() - size);
      result = inflate(&stream, Z_NO_FLUSH);
      size = inflated.size() - stream.avail_out;
      if (size > max_bytes) {
        return absl::ResourceExhaustedError("the message is too large");
      }
      // Z_BUF_ERROR: nothing more comes out of this input.
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return Malformed();
      }
      more = result == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0);
    }
    if (stream.avail_in > 0) return Malformed();
  }
  if (result != Z_STREAM_END) return Malformed();
  inflated.resize(size);
  return inflated;
}

}  // namespace heapsync
