#ifndef HEAPSYNC_SERVER_NET_GREETING_H_
#define HEAPSYNC_SERVER_NET_GREETING_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace heapsync {

// What a client sends before it waits for the server.
enum class Protocol {
  kHttp2,  // the preface and its SETTINGS
  kTls,    // its first record, which is a ClientHello
};

// The first bytes of a connection that tell the length of its greeting.
inline constexpr size_t kGreetingHead = 33;

// Bytes of the greeting that begins with `head`, as far as `head` tells: a
// greeting is whole once that many bytes have come. What is no greeting of the
// protocol is whole as it is, so that gRPC can refuse it.
size_t GreetingBytes(Protocol protocol, absl::string_view head);

// Bytes that wait to be read on a connection, and whether its greeting is among
// them; nullopt if its peer went away without one.
struct Arrived {
  size_t bytes = 0;
  bool greeted = false;
};
std::optional<Arrived> ReadArrived(int connection, Protocol protocol);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_GREETING_H_
