#ifndef HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_
#define HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "heap_adapter/encoding/findings.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// A received message, inflated if it came compressed. gRPC could inflate it
// itself, but would do so without a bound and before the caller is known:
// 1 MiB may describe 1 GiB.
class ReceivedMessage {
 public:
  // Returns the message, or RESOURCE_EXHAUSTED if it has more than `max_bytes`:
  // inflating stops there. INVALID_ARGUMENT if it cannot be inflated. An
  // uncompressed message is not copied: `bytes` must outlive it.
  static std::variant<ReceivedMessage, CallError> Open(
      const grpc::ByteBuffer& bytes, size_t max_bytes);

  size_t size() const;
  bool ParseTo(google::protobuf::Message* message) const;
  // The fields of the message, counted without parsing it: those of one number
  // that hold text or messages, and all others. Stops where the bytes are no
  // message, and as soon as neither can exceed `max`.
  struct FieldCounts {
    size_t of_number = 0;
    size_t others = 0;
  };
  FieldCounts CountFields(int number, size_t max) const;
  // All bytes in one string.
  std::string Flatten() const;

 private:
  explicit ReceivedMessage(const grpc::ByteBuffer& bytes) : bytes_(&bytes) {}
  explicit ReceivedMessage(std::string inflated)
      : inflated_(std::move(inflated)) {}

  const grpc::ByteBuffer* bytes_ = nullptr;  // null: `inflated_` instead
  std::string inflated_;
};

// Parses a message. gRPC could do so itself, but its error for a message that
// does not parse gives no reason, and in a stream it is indistinguishable from
// the end of the stream.
//
// Clears `message` first. Returns the faults; empty if `message` was parsed.
std::vector<Finding> ParseWireMessage(const ReceivedMessage& bytes,
                                      google::protobuf::Message* message);

// Opens and parses the request of a call; returns why it is refused, if it is.
// REQUIRES: the caller may call.
std::optional<CallError> ReadRequest(const grpc::ByteBuffer& bytes,
                                     size_t max_bytes,
                                     google::protobuf::Message* request);

// Returns the faults in bytes that do not parse as a message of `descriptor`:
// the path of each string that is not UTF-8, or a single fault if the bytes are
// not such a message.
std::vector<Finding> DiagnoseWireMessage(
    absl::string_view bytes, const google::protobuf::Descriptor& descriptor);

// Like ParseWireMessage() above, but an item of the repeated field `items` that
// does not parse does not affect the others: it is empty in the message, and
// its faults are stored in `damaged` under its index, with paths that begin
// within the item. A message with more than
// kMaxItemsPerMessage is not parsed: it could take a hundred times its size.
inline constexpr size_t kMaxItemsPerMessage = 10'000;
using DamagedItems = std::map<int, std::vector<Finding>>;
std::vector<Finding> ParseWireMessage(const ReceivedMessage& bytes,
                                      google::protobuf::Message* message,
                                      absl::string_view items,
                                      DamagedItems& damaged);

// Encodes a message. Appends `more_fields`, which are already encoded.
grpc::ByteBuffer ToByteBuffer(const google::protobuf::Message& message,
                              const std::string& more_fields = {});

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_WIRE_WIRE_MESSAGE_H_
