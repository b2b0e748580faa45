#ifndef HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_
#define HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <map>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/findings.h"

namespace heapsync {

// Parses a request. gRPC would do so by itself, but it answers a message that
// does not parse with an error that says nothing, and in a stream it looks like
// the stream's end.
//
// Gives what is wrong with it; nothing if `message` is filled. Clears `message`
// first.
std::vector<Finding> ParseWireMessage(const grpc::ByteBuffer& bytes,
                                      google::protobuf::Message* message);

// Says where bytes that do not parse as `descriptor`'s message are wrong: the
// path of each string that is not UTF-8, or that the bytes are no message at
// all.
std::vector<Finding> DiagnoseWireMessage(
    absl::string_view bytes, const google::protobuf::Descriptor& descriptor);

// As above, but one item of the repeated field `items` that does not parse does
// not spoil its neighbours: it stays empty in the message, and what is wrong
// with it is in `damaged` under its index.
using DamagedItems = std::map<int, std::vector<Finding>>;
std::vector<Finding> ParseWireMessage(const grpc::ByteBuffer& bytes,
                                      google::protobuf::Message* message,
                                      absl::string_view items,
                                      DamagedItems& damaged);

// `more_fields`, already encoded, follow those of the message.
grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message,
                              const std::string& more_fields = {});

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_
