#ifndef HEAPSYNC_SERVER_WIRE_INFLATE_H_
#define HEAPSYNC_SERVER_WIRE_INFLATE_H_

#include <google/protobuf/io/zero_copy_stream.h>

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace heapsync {

// gRPC's names of its two compressions, both of which are zlib's.
enum class Compression { kGzip, kDeflate };

// Returns the inflated bytes. Never holds more than `max_bytes` of them and one
// byte: a thousandth of that is enough to describe it. Errors:
// kResourceExhausted if there are more; kInvalidArgument if the bytes are cut
// off, damaged or followed by others.
absl::StatusOr<std::string> Inflate(
    google::protobuf::io::ZeroCopyInputStream& packed, Compression compression,
    size_t max_bytes);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_WIRE_INFLATE_H_
