#ifndef HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_
#define HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_

#include <grpcpp/server_builder.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/base/clock.h"
#include "server/net/connection_guard.h"
#include "server/net/listening_sockets.h"

namespace heapsync {

// Accepts connections for gRPC while there are places, and ends those that the
// guard names: further connections wait in the system's queue. gRPC 1.51 knows
// no such limit, and stops listening permanently once the process has run out
// of file descriptors.
class ConnectionAcceptor {
 public:
  // Listens on "host:port", see ListeningSockets. Errors: kUnavailable with the
  // cause. `guard` must outlive the acceptor.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Listen(
      absl::string_view address, ConnectionGuard& guard);

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
  ConnectionAcceptor(ListeningSockets listeners, ConnectionGuard& guard)
      : guard_(guard), listeners_(std::move(listeners)) {}

  void Run();
  // Waits for connections, or for the end of some; false if it is to stop.
  bool Wait(MonotonicTime now);
  void Accept(int listener, MonotonicTime now);
  // Returns true if the next connection has a place; frees one if necessary.
  bool FindPlace(MonotonicTime now);
  // Enters a connection; false with errno if the process is short of something.
  bool Keep(int connection, const sockaddr_storage& peer, MonotonicTime now);
  void EndSome(MonotonicTime now);
  void End(const ConnectionGuard::Closing& closing);
  // Handles the end of a connection.
  void Left(int descriptor, MonotonicTime now);
  // True while gRPC's descriptor of the connection is open, which it is until
  // the last of its calls is freed.
  bool IsHeld(int descriptor) const;
  void Forget(int descriptor);
  // Stops listening until then; connections wait in the system's queue.
  void Rest(MonotonicTime until);
  void SetListening(bool on);

  ConnectionGuard& guard_;
  ListeningSockets listeners_;
  int stop_event_ = -1;
  int epoll_ = -1;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  std::thread thread_;

  uint64_t resident_at_start_ = 0;

  // The rest is used by `thread_` only.
  std::optional<MonotonicTime> resting_until_;
  // A second descriptor of each connection that is open: gRPC may close its own
  // at any moment, and the system would give its number to another file.
  struct Held {
    int descriptor = -1;  // gRPC's
    uint64_t inode = 0;   // of the socket
  };
  absl::flat_hash_map<int, Held> connections_;
  // Those that have ended, and keep their place until gRPC has freed them.
  absl::flat_hash_set<int> leaving_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_
