#ifndef HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_
#define HEAPSYNC_SERVER_NET_CONNECTION_ACCEPTOR_H_

#include <grpcpp/server_builder.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "server/net/arrivals.h"
#include "server/net/connection_guard.h"
#include "server/net/greeting.h"
#include "server/net/listening_sockets.h"

namespace heapsync {

// Accepts connections, hands them to gRPC once they have greeted and there is a
// place, and ends those that the guard names. gRPC 1.51 knows no such limit,
// and stops listening permanently once the process has run out of file
// descriptors.
class ConnectionAcceptor {
 public:
  struct Options {
    Protocol protocol = Protocol::kHttp2;
    // A connection that cannot be handed to gRPC in this time is closed.
    Duration max_wait = std::chrono::seconds(10);
    // As gRPC has them.
    uint32_t max_streams_per_connection = 100;
    uint32_t max_metadata_bytes = 8 << 10;
  };

  // Listens on "host:port", see ListeningSockets. Errors: kUnavailable with the
  // cause. `guard` must outlive the acceptor.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Listen(
      absl::string_view address, const Options& options,
      ConnectionGuard& guard);

  ~ConnectionAcceptor();

  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  int port() const { return listeners_.port(); }

  // Starts handing connections to `server`, which must be started. Call once.
  void Start(
      std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server);

  // True while all connections are known and silent: the thread looks at them
  // once a second, or when something comes. Any thread.
  bool asleep() const { return asleep_; }

  // Closes the port. Must be called before the server shuts down; idempotent.
  void Stop();

 private:
  ConnectionAcceptor(ListeningSockets listeners, const Options& options,
                     ConnectionGuard& guard);

  void Run();
  // Waits for connections, or for the end of some; false if it is to stop.
  bool Wait();
  void AcceptSome(int listener, MonotonicTime now);
  // Looks at what a connection that has not been handed to gRPC has sent.
  // `gone`: it sends nothing more.
  void Look(int connection, bool gone);
  // Hands those to gRPC that have greeted and have a place.
  void HandOver(MonotonicTime now);
  // Returns true if a connection has a place; frees one if necessary.
  using Newcomer = ConnectionGuard::Newcomer;
  bool FindPlace(absl::string_view network, Newcomer newcomer,
                 MonotonicTime now);
  void Enter(int connection, Newcomer newcomer, MonotonicTime now);
  void EndLate(MonotonicTime now);
  void EndArrival(int connection, ClosingReason reason);
  void CloseArrival(int connection);
  // Enters a connection; false with errno if the process is short of something.
  bool Keep(int connection, const sockaddr_storage& peer, Newcomer newcomer,
            MonotonicTime now);
  void EndSome(MonotonicTime now);
  void End(const ConnectionGuard::Closing& closing);
  // Waits for the next bytes of every connection, if there were none for a
  // while.
  void SleepIfQuiet();
  // Watches a connection for these events besides its end.
  void SetWatched(int descriptor, uint32_t events);
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
  std::atomic<bool> asleep_{false};

  uint64_t resident_at_start_ = 0;

  const Protocol protocol_;
  const std::string greeting_;

  // The rest is used by `thread_` only.
  std::optional<MonotonicTime> resting_until_;
  MonotonicTime next_look_;
  MonotonicTime next_complaint_;
  MonotonicTime next_hand_over_;
  // Looks at all connections in succession at which none had sent anything.
  int quiet_looks_ = 0;
  Arrivals arrivals_;
  // For each of `arrivals_`.
  struct Arrival {
    int listener = -1;
    sockaddr_storage peer{};
  };
  absl::flat_hash_map<int, Arrival> arriving_;
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
