#ifndef HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_
#define HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_

#include <grpcpp/server_builder.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/net/listening_sockets.h"

namespace heapsync {

// Accepts connections for gRPC up to a maximum number: further connections wait
// in the system's queue until one ends. gRPC 1.51 has no such limit, and stops
// listening permanently once the process has run out of file descriptors.
class ConnectionAcceptor {
 public:
  // Listens on "host:port", see ListeningSockets. Errors: kUnavailable with the
  // cause.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Listen(
      absl::string_view address, uint32_t max_connections);

  ~ConnectionAcceptor();

  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  int port() const { return listeners_.port(); }

  // Starts handing connections to `server`, which must be started. Call once.
  void Start(
      std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server);

  // Closes the port. Must be called before the server shuts down; idempotent.
  void Stop();

 private:
  ConnectionAcceptor(ListeningSockets listeners, uint32_t max_connections)
      : max_connections_(max_connections), listeners_(std::move(listeners)) {}

  void Run();
  void Accept(int listener);
  // Removes the connections that gRPC has closed.
  void Recount();

  const uint32_t max_connections_;
  ListeningSockets listeners_;
  int stop_event_ = -1;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  std::thread thread_;

  // Open connections by descriptor; used by `thread_` only. The inode shows
  // whether a descriptor still refers to the same socket.
  absl::flat_hash_map<int, ino_t> connections_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_
