#include "server/net/greeting.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

size_t BigEndian(absl::string_view bytes) {
  size_t number = 0;
  for (const char byte : bytes) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return number;
}

// Big-endian.
std::string Bytes(uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16),
          static_cast<char>(number >> 8), static_cast<char>(number)};
}

// The place of a field in a head.
struct Field {
  size_t begin;
  size_t length;
};

// True if the field has come and does not satisfy `is_right`.
template <typename Predicate>
bool IsWrong(absl::string_view head, Field field, Predicate is_right) {
  return head.size() >= field.begin + field.length &&
         !is_right(BigEndian(head.substr(field.begin, field.length)));
}

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHead = 9;
constexpr size_t kPrefaceHead = kPreface.size() + kFrameHead;
static_assert(kPrefaceHead <= kGreetingHead);
constexpr size_t kStreamBits = 0x7fffffff;

struct Frame {
  size_t type;
  size_t flags;
  size_t stream;
  absl::string_view payload;
};

// Takes the first frame out; none if it is not whole.
std::optional<Frame> TakeFrame(absl::string_view& bytes) {
  if (bytes.size() < kFrameHead) return std::nullopt;
  const size_t length = BigEndian(bytes.substr(0, 3));
  if (bytes.size() - kFrameHead < length) return std::nullopt;
  const Frame frame = {.type = BigEndian(bytes.substr(3, 1)),
                       .flags = BigEndian(bytes.substr(4, 1)),
                       .stream = BigEndian(bytes.substr(5, 4)) & kStreamBits,
                       .payload = bytes.substr(kFrameHead, length)};
  bytes.remove_prefix(kFrameHead + length);
  return frame;
}

// True if there is a call with its first message among these frames. Nothing
// is checked that gRPC checks: who sends nonsense is ended by it.
bool HasWholeCall(absl::string_view frames) {
  constexpr size_t kData = 0;
  constexpr size_t kHeaders = 1;
  constexpr size_t kContinuation = 9;
  constexpr size_t kEndStream = 1;
  constexpr size_t kEndHeaders = 4;
  constexpr size_t kPadded = 8;
  constexpr size_t kMessageHead = 5;  // a flag, and the length
  size_t call = 0;
  bool has_head = false;
  bool ends = false;
  std::string message;
  while (const std::optional<Frame> frame = TakeFrame(frames)) {
    if (frame->type == kHeaders && !has_head) {
      call = frame->stream;
      ends = (frame->flags & kEndStream) != 0;
    }
    if (frame->stream != call || call == 0) continue;
    if (frame->type == kHeaders || frame->type == kContinuation) {
      has_head |= (frame->flags & kEndHeaders) != 0;
    } else if (frame->type == kData) {
      ends |= (frame->flags & kEndStream) != 0;
      const bool padded = (frame->flags & kPadded) != 0;
      absl::string_view part = frame->payload;
      part.remove_prefix(padded && !part.empty() ? 1 : 0);
      absl::StrAppend(&message, part);
    }
    if (has_head && ends) return true;
    if (has_head && message.size() >= kMessageHead &&
        message.size() - kMessageHead >=
            BigEndian(absl::string_view(message).substr(1, 4))) {
      return true;
    }
  }
  return false;
}

Greeting ReadPreface(absl::string_view head, size_t bytes) {
  constexpr Field kLength{kPreface.size(), 3};
  constexpr Field kType{kLength.begin + 3, 1};
  constexpr Field kFlags{kType.begin + 1, 1};
  constexpr Field kStream{kFlags.begin + 1, 4};
  constexpr size_t kSettings = 4;
  constexpr size_t kAck = 1;
  constexpr size_t kSetting = 6;  // bytes of each
  constexpr size_t kMaxFrame = 16 << 10;
  if (!absl::StartsWith(kPreface, head.substr(0, kPreface.size())) ||
      IsWrong(head, kLength,
              [](size_t length) {
                return length <= kMaxFrame && length % kSetting == 0;
              }) ||
      IsWrong(head, kType, [](size_t type) { return type == kSettings; }) ||
      IsWrong(head, kFlags, [](size_t flags) { return (flags & kAck) == 0; }) ||
      IsWrong(head, kStream,
              [](size_t stream) { return (stream & kStreamBits) == 0; })) {
    return Greeting::kNone;
  }
  if (head.size() < kPrefaceHead) return Greeting::kPartial;
  const size_t length = BigEndian(head.substr(kLength.begin, kLength.length));
  const size_t whole = kPrefaceHead + length;
  if (bytes < whole) return Greeting::kPartial;
  return head.size() > whole && HasWholeCall(head.substr(whole))
             ? Greeting::kAsked
             : Greeting::kWhole;
}

// A handshake may go on in further records, which are not waited for.
Greeting ReadHello(absl::string_view head, size_t bytes) {
  constexpr Field kType{0, 1};
  constexpr Field kVersion{1, 2};
  constexpr Field kLength{3, 2};
  constexpr Field kMessageType{5, 1};
  constexpr Field kMessageLength{6, 3};
  constexpr size_t kHandshake = 22;
  constexpr size_t kClientHello = 1;
  constexpr size_t kRecordHead = 5;
  constexpr size_t kMessageHead = 4;
  constexpr size_t kMaxRecord = 16 << 10;
  // Without a session, with one cipher suite and no extensions.
  constexpr size_t kMinHello = 41;
  constexpr size_t kMaxHello = 128 << 10;
  if (IsWrong(head, kType, [](size_t type) { return type == kHandshake; }) ||
      IsWrong(head, {kVersion.begin, 1},
              [](size_t major) { return major == 3; }) ||
      IsWrong(head, kVersion,
              [](size_t version) { return version <= 0x0304; }) ||
      IsWrong(head, kLength,
              [](size_t length) {
                return length >= kMessageHead && length <= kMaxRecord;
              }) ||
      IsWrong(head, kMessageType,
              [](size_t type) { return type == kClientHello; })) {
    return Greeting::kNone;
  }
  if (head.size() < kMessageLength.begin + kMessageLength.length) {
    return Greeting::kPartial;
  }
  const size_t record = BigEndian(head.substr(kLength.begin, kLength.length));
  const size_t hello =
      BigEndian(head.substr(kMessageLength.begin, kMessageLength.length));
  if (hello < kMinHello || hello > kMaxHello || kMessageHead + hello < record) {
    return Greeting::kNone;
  }
  return bytes < kRecordHead + record ? Greeting::kPartial : Greeting::kWhole;
}

}  // namespace

Greeting ReadGreeting(Protocol protocol, absl::string_view head, size_t bytes) {
  return protocol == Protocol::kTls ? ReadHello(head, bytes)
                                    : ReadPreface(head, bytes);
}

Arrived ReadArrived(int connection, Protocol protocol) {
  std::array<char, kGreetingHead> head;
  const ssize_t count =
      recv(connection, head.data(), head.size(), MSG_PEEK | MSG_DONTWAIT);
  int bytes = 0;
  if (count <= 0 || ioctl(connection, FIONREAD, &bytes) != 0) return {};
  const absl::string_view first(head.data(), static_cast<size_t>(count));
  return {
      .bytes = static_cast<size_t>(bytes),
      .greeting = ReadGreeting(protocol, first, static_cast<size_t>(bytes))};
}

std::string ServerGreeting(Protocol protocol, uint32_t max_streams,
                           uint32_t max_metadata_bytes) {
  if (protocol == Protocol::kTls) return "";
  constexpr absl::string_view kTwoSettings("\0\0\x0c\4\0\0\0\0\0", kFrameHead);
  constexpr absl::string_view kMaxConcurrentStreams("\0\3", 2);
  constexpr absl::string_view kMaxHeaderListSize("\0\6", 2);
  return absl::StrCat(kTwoSettings, kMaxConcurrentStreams, Bytes(max_streams),
                      kMaxHeaderListSize, Bytes(max_metadata_bytes));
}

void Refuse(int connection, Protocol protocol) {
  if (protocol == Protocol::kHttp2) {
    // PROTOCOL_ERROR, and no call was looked at.
    constexpr absl::string_view kGoaway("\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1",
                                        17);
    static_cast<void>(send(connection, kGoaway.data(), kGoaway.size(),
                           MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  // Unread bytes would make the system reset the connection, and some peers
  // would lose the answer.
  std::array<char, 16 << 10> rest;
  static_cast<void>(recv(connection, rest.data(), rest.size(), MSG_DONTWAIT));
  shutdown(connection, SHUT_RDWR);
}

}  // namespace heapsync
