#ifndef HEAPSYNC_SERVER_NET_GREETING_H_
#define HEAPSYNC_SERVER_NET_GREETING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// The protocol of a port, by the first words of its clients.
enum class Protocol {
  kHttp2,  // the preface and its SETTINGS
  kTls,    // the record in which its ClientHello begins
};

enum class Greeting {
  kPartial,  // what came may become one
  kWhole,
  kAsked,  // whole, with a call and its first message; never with TLS
  kNone,   // it speaks something else
};

// Bytes that are looked at. The length of a whole greeting is in them; a call
// that ends after them is none.
inline constexpr size_t kGreetingHead = 4 << 10;

// `head`: the first bytes of a connection, at most kGreetingHead. `bytes`: how
// many have come in all.
Greeting ReadGreeting(Protocol protocol, absl::string_view head, size_t bytes);

// Bytes that wait to be read on a connection; none is taken out.
struct Arrived {
  size_t bytes = 0;
  Greeting greeting = Greeting::kPartial;
};
Arrived ReadArrived(int connection, Protocol protocol);

// The server's first bytes, as gRPC would send them: HTTP/2's SETTINGS, with
// the values that gRPC repeats, since the client may acknowledge both as one.
// Empty for TLS, where clients speak first. Clients that look for answers every
// few seconds only, as Python's do while their calls fail fast, otherwise
// connect one such interval later.
std::string ServerGreeting(Protocol protocol, uint32_t max_streams,
                           uint32_t max_metadata_bytes);

// Ends a connection with greeting kNone, of which HTTP/2 tells the client the
// reason. Its descriptor stays open.
void Refuse(int connection, Protocol protocol);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_GREETING_H_
