#ifndef HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_
#define HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <map>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/findings.h"

namespace heapsync {

// Parses a request. gRPC could do so itself, but its error for a message that
// does not parse gives no reason, and in a stream it is indistinguishable from
// the end of the stream.
//
// Clears `message` first. Returns the faults; empty if `message` was parsed.
std::vector<Finding> ParseWireMessage(const grpc::ByteBuffer& bytes,
                                      google::protobuf::Message* message);

// Returns the faults in bytes that do not parse as a message of `descriptor`:
// the path of each string that is not UTF-8, or a single fault if the bytes are
// not such a message.
std::vector<Finding> DiagnoseWireMessage(
    absl::string_view bytes, const google::protobuf::Descriptor& descriptor);

// Like ParseWireMessage() above, but an item of the repeated field `items` that
// does not parse does not affect the others: it is empty in the message, and
// its faults are stored in `damaged` under its index.
using DamagedItems = std::map<int, std::vector<Finding>>;
std::vector<Finding> ParseWireMessage(const grpc::ByteBuffer& bytes,
                                      google::protobuf::Message* message,
                                      absl::string_view items,
                                      DamagedItems& damaged);

// Encodes a message. Appends `more_fields`, which are already encoded.
grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message,
                              const std::string& more_fields = {});

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_
