#include "server/net/greeting.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "absl/strings/match.h"

namespace heapsync {
namespace {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHead = 9;
static_assert(kPreface.size() + kFrameHead == kGreetingHead);

constexpr size_t kRecordHead = 5;
constexpr char kHandshake = 22;

// Lengths beyond these are against the protocols.
constexpr size_t kMaxSettings = 16 << 10;
constexpr size_t kMaxRecord = 16 << 10;

size_t BigEndian(absl::string_view bytes) {
  size_t number = 0;
  for (const char byte : bytes) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return number;
}

}  // namespace

size_t GreetingBytes(Protocol protocol, absl::string_view head) {
  if (protocol == Protocol::kTls) {
    if (!head.empty() && head[0] != kHandshake) return head.size();
    if (head.size() < kRecordHead) return kRecordHead;
    const size_t length = BigEndian(head.substr(3, 2));
    return length > kMaxRecord ? head.size() : kRecordHead + length;
  }
  if (!absl::StartsWith(kPreface, head.substr(0, kPreface.size()))) {
    return head.size();
  }
  if (head.size() < kGreetingHead) return kGreetingHead;
  const size_t length = BigEndian(head.substr(kPreface.size(), 3));
  return length > kMaxSettings ? head.size() : kGreetingHead + length;
}

std::optional<Arrived> ReadArrived(int connection, Protocol protocol) {
  std::array<char, kGreetingHead> head;
  const ssize_t count =
      recv(connection, head.data(), head.size(), MSG_PEEK | MSG_DONTWAIT);
  if (count == 0) return std::nullopt;
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
      return Arrived();
    }
    return std::nullopt;
  }
  int bytes = 0;
  if (ioctl(connection, FIONREAD, &bytes) != 0) return std::nullopt;
  Arrived arrived{.bytes = static_cast<size_t>(bytes)};
  arrived.greeted =
      arrived.bytes >=
      GreetingBytes(protocol, {head.data(), static_cast<size_t>(count)});
  return arrived;
}

}  // namespace heapsync
