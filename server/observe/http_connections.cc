#include "server/observe/http_connections.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/check.h"

namespace heapsync {
namespace {

constexpr size_t kIpv6NetworkBytes = 8;
constexpr size_t kIpv4InIpv6 = 12;  // offset of a mapped IPv4 address

std::string Bytes(const void* bytes, size_t size) {
  return std::string(static_cast<const char*>(bytes), size);
}

}  // namespace

std::string ClientNetwork(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    return Bytes(&ipv4, sizeof(ipv4));
  }
  if (address.sa_family != AF_INET6) return "";
  const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  // Clients over IPv4 of a socket for both have addresses like ::ffff:10.0.0.1.
  if (IN6_IS_ADDR_V4MAPPED(&ipv6)) {
    return Bytes(&ipv6.s6_addr[kIpv4InIpv6], sizeof(in_addr));
  }
  return Bytes(&ipv6, kIpv6NetworkBytes);
}

void HttpConnections::Opened(int socket, std::string network,
                             MonotonicTime now) {
  open_.push_back(
      {.socket = socket, .network = std::move(network), .opened_at = now});
}

void HttpConnections::Enter(int socket, Stage stage) {
  open_[IndexOf(socket)].stage = stage;
}

void HttpConnections::Closed(int socket) {
  open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(IndexOf(socket)));
}

size_t HttpConnections::IndexOf(int socket) const {
  const auto found = std::find_if(open_.begin(), open_.end(),
                                  [&](const Connection& connection) {
                                    return connection.socket == socket;
                                  });
  HEAPSYNC_CHECK(found != open_.end()) << "socket " << socket;
  return static_cast<size_t>(found - open_.begin());
}

bool HttpConnections::HasSpace() const {
  return Count() < limits_.max_connections ||
         std::any_of(open_.begin(), open_.end(),
                     [](const Connection& connection) {
                       return connection.stage == Stage::kReading ||
                              connection.stage == Stage::kWriting;
                     });
}

bool HttpConnections::MayWaitForPage(int socket) const {
  return CountOf(open_[IndexOf(socket)].network, Stage::kWaitingForPage) <
         limits_.max_waiting_pages;
}

size_t HttpConnections::Count() const {
  return static_cast<size_t>(std::count_if(
      open_.begin(), open_.end(), [](const Connection& connection) {
        return connection.stage != Stage::kEnding;
      }));
}

size_t HttpConnections::CountOf(const std::string& network) const {
  return static_cast<size_t>(std::count_if(
      open_.begin(), open_.end(), [&](const Connection& connection) {
        return connection.stage != Stage::kEnding &&
               connection.network == network;
      }));
}

size_t HttpConnections::CountOf(const std::string& network, Stage stage) const {
  return static_cast<size_t>(std::count_if(
      open_.begin(), open_.end(), [&](const Connection& connection) {
        return connection.stage == stage && connection.network == network;
      }));
}

std::optional<int> HttpConnections::GivesWay() const {
  if (Count() <= limits_.max_connections) return std::nullopt;
  std::optional<int> choice;
  std::pair<size_t, size_t> highest;  // of equals the first, the oldest
  for (const Connection& connection : open_) {
    if (connection.stage != Stage::kReading &&
        connection.stage != Stage::kWriting) {
      continue;
    }
    const std::pair<size_t, size_t> rank = {
        CountOf(connection.network),
        CountOf(connection.network, connection.stage)};
    if (choice.has_value() && rank <= highest) continue;
    choice = connection.socket;
    highest = rank;
  }
  return choice;
}

std::vector<int> HttpConnections::Overdue(MonotonicTime now) const {
  std::vector<int> overdue;
  for (const Connection& connection : open_) {
    if (DeadlineOf(connection) <= now) overdue.push_back(connection.socket);
  }
  return overdue;
}

std::vector<int> HttpConnections::Reading() const {
  std::vector<int> reading;
  for (const Connection& connection : open_) {
    if (connection.stage == Stage::kReading) {
      reading.push_back(connection.socket);
    }
  }
  return reading;
}

std::optional<MonotonicTime> HttpConnections::NextDeadline() const {
  std::optional<MonotonicTime> next;
  for (const Connection& connection : open_) {
    const MonotonicTime deadline = DeadlineOf(connection);
    if (deadline == MonotonicTime::max()) continue;
    if (!next.has_value() || deadline < *next) next = deadline;
  }
  return next;
}

MonotonicTime HttpConnections::DeadlineOf(const Connection& connection) const {
  switch (connection.stage) {
    case Stage::kReading:
      return connection.opened_at + limits_.request_timeout;
    case Stage::kWaitingForPage:
    case Stage::kEnding:
      return MonotonicTime::max();
    case Stage::kWriting:
      return connection.opened_at + limits_.connection_timeout;
  }
  HEAPSYNC_UNREACHABLE();
}

}  // namespace heapsync
