#include "server/net/greeting.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>

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
static_assert(kPreface.size() + kFrameHead == kGreetingHead);

Greeting ReadPreface(absl::string_view head, size_t bytes) {
  constexpr Field kLength{kPreface.size(), 3};
  constexpr Field kType{kLength.begin + 3, 1};
  constexpr Field kFlags{kType.begin + 1, 1};
  constexpr Field kStream{kFlags.begin + 1, 4};
  constexpr size_t kSettings = 4;
  constexpr size_t kAck = 1;
  constexpr size_t kStreamBits = 0x7fffffff;
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
  if (head.size() < kGreetingHead) return Greeting::kPartial;
  const size_t length = BigEndian(head.substr(kLength.begin, kLength.length));
  return bytes < kGreetingHead + length ? Greeting::kPartial : Greeting::kWhole;
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
