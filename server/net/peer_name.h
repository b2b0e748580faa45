#ifndef HEAPSYNC_SERVER_NET_PEER_NAME_H_
#define HEAPSYNC_SERVER_NET_PEER_NAME_H_

#include <sys/socket.h>

#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// Returns "192.0.2.1:1234" or "2001:db8::1:1234" for the other end of a
// connection; IPv4 in IPv6 as IPv4, no scope. Empty for other families.
std::string PeerName(const sockaddr_storage& address);

// The same for gRPC's name of a peer: "ipv4:192.0.2.1:1234" or
// "ipv6:%5B2001:db8::1%5D:1234".
std::string PeerName(absl::string_view grpc_peer);

// Returns the network that a client may have many addresses of, given the
// name that PeerName() returned: "192.0.2.1", the first 64 bits of an IPv6
// address as "2001:db8::/64", or an empty text for an empty name.
std::string NetworkOf(absl::string_view peer_name);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_PEER_NAME_H_
