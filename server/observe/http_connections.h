#ifndef HEAPSYNC_SERVER_OBSERVE_HTTP_CONNECTIONS_H_
#define HEAPSYNC_SERVER_OBSERVE_HTTP_CONNECTIONS_H_

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace heapsync {

struct HttpLimits {
  // Open connections. Larger: more clients at once, more memory and file
  // descriptors that strangers can hold.
  size_t max_connections = 64;
  // Pages that may wait to be made for one network. Those beyond it are
  // refused, so that one client's requests do not fill all connections.
  size_t max_waiting_pages = 16;
  // From accepting a connection to the end of the request's head.
  Duration request_timeout = std::chrono::seconds(3);
  // From accepting a connection to its end. Longer than Prometheus's default
  // scrape timeout of 10 s.
  Duration connection_timeout = std::chrono::seconds(15);
};

// The network of a client, for limits that one client must not evade by using
// many addresses: the IPv4 address, or the first 64 bits of the IPv6 address.
std::string ClientNetwork(const sockaddr& address);

// The open connections of an HTTP server by their sockets, and the choice of
// those that have to end. Total age counts and not idle time, so that a client
// that sends or reads a byte now and then gains nothing. Not thread-safe.
class HttpConnections {
 public:
  enum class Stage {
    kReading,         // the request has not arrived yet
    kWaitingForPage,  // the response is being made; the connection cannot end
    kWriting,         // the client has not read the response yet
    kEnding,          // the socket is shut down; no longer counts
  };

  explicit HttpConnections(HttpLimits limits) : limits_(limits) {}

  // REQUIRES: `socket` is not open.
  void Opened(int socket, std::string network, MonotonicTime now);
  // REQUIRES for these: `socket` is open.
  void Enter(int socket, Stage stage);
  void Closed(int socket);

  bool empty() const { return open_.empty(); }

  // True if another connection can be accepted, even if another one then has to
  // give way for it.
  bool HasSpace() const;
  // True if the network of `socket` may have another page made.
  bool MayWaitForPage(int socket) const;

  // The connection that has to end because more are open than may be: in the
  // network that has most connections, the oldest one of those whose requests
  // have not arrived or of those whose responses are unread, whichever are
  // more. A client that opens many connections displaces its own, and neither
  // kind displaces all of the other.
  std::optional<int> GivesWay() const;
  // The connections whose time has passed.
  std::vector<int> Overdue(MonotonicTime now) const;
  // Those whose requests have not arrived.
  std::vector<int> Reading() const;
  // When the next connection is overdue. None: no connection is open.
  std::optional<MonotonicTime> NextDeadline() const;

 private:
  struct Connection {
    int socket = -1;
    std::string network;
    MonotonicTime opened_at;
    Stage stage = Stage::kReading;
  };

  size_t IndexOf(int socket) const;
  MonotonicTime DeadlineOf(const Connection& connection) const;
  size_t Count() const;
  size_t CountOf(const std::string& network) const;
  size_t CountOf(const std::string& network, Stage stage) const;

  const HttpLimits limits_;
  std::vector<Connection> open_;  // the oldest first
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_HTTP_CONNECTIONS_H_
