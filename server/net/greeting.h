#ifndef HEAPSYNC_SERVER_NET_GREETING_H_
#define HEAPSYNC_SERVER_NET_GREETING_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace heapsync {

// What a client sends before it waits for the server.
enum class Protocol {
  kHttp2,  // the preface and its SETTINGS
  kTls,    // the record in which its ClientHello begins
};

enum class Greeting {
  kPartial,  // what came may become one
  kWhole,
  kNone,  // it speaks something else
};

// Bytes of a greeting that are looked at; the length of the whole is in them.
inline constexpr size_t kGreetingHead = 33;

// `head`: the first bytes of a connection, at most kGreetingHead. `bytes`: how
// many have come in all.
Greeting ReadGreeting(Protocol protocol, absl::string_view head, size_t bytes);

// What arrived on a connection and waits to be read; none of it is taken out.
struct Arrived {
  size_t bytes = 0;
  Greeting greeting = Greeting::kPartial;
};
Arrived ReadArrived(int connection, Protocol protocol);

// Tells the peer of a connection with greeting kNone what is spoken here, as
// far as that can be said, and ends the connection. Its descriptor stays open.
void Refuse(int connection, Protocol protocol);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_GREETING_H_
