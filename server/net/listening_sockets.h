#ifndef HEAPSYNC_SERVER_NET_LISTENING_SOCKETS_H_
#define HEAPSYNC_SERVER_NET_LISTENING_SOCKETS_H_

#include <sys/socket.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Non-blocking TCP sockets that listen on every address of one "host:port".
// Closes them when destroyed. Not thread-safe.
class ListeningSockets {
 public:
  // The host is a name, an IPv4 address or an IPv6 address in brackets. "[::]"
  // includes IPv4, and means all IPv4 addresses on a system without IPv6;
  // "localhost" is 127.0.0.1 and ::1. Addresses of a name that the system does
  // not have are left out if it has one of them. Port 0 lets the system choose;
  // all addresses of a name use the same port. `backlog` bounds the connections
  // that wait to be accepted. Errors: kUnavailable with the address and the
  // cause.
  static absl::StatusOr<ListeningSockets> Open(absl::string_view address,
                                               int backlog);

  ListeningSockets(ListeningSockets&& other) noexcept;
  ListeningSockets& operator=(ListeningSockets&& other) noexcept;
  ~ListeningSockets() { Close(); }

  // Idempotent.
  void Close();

  // Empty after Close().
  const std::vector<int>& descriptors() const { return descriptors_; }
  int port() const { return port_; }

 private:
  ListeningSockets() = default;

  absl::Status ListenOnAll(std::vector<sockaddr_storage> addresses,
                           int backlog);

  std::vector<int> descriptors_;
  int port_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_LISTENING_SOCKETS_H_
