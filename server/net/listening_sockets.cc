#include "server/net/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

using Address = sockaddr_storage;

// Attempts to find a port that is free on every address of a name.
constexpr int kMaxPortChoices = 10;

absl::Status Failure(int error) {
  return error == EADDRNOTAVAIL || error == EAFNOSUPPORT
             ? absl::NotFoundError(std::strerror(error))
             : absl::UnavailableError(std::strerror(error));
}

uint16_t& PortField(Address& address) {
  return address.ss_family == AF_INET6
             ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
             : reinterpret_cast<sockaddr_in&>(address).sin_port;
}

int PortOf(Address address) { return ntohs(PortField(address)); }

void SetPort(Address& address, int port) {
  PortField(address) = htons(static_cast<uint16_t>(port));
}

int BoundPort(int listener) {
  Address address{};
  socklen_t size = sizeof(address);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) !=
      0) {
    return 0;
  }
  return PortOf(address);
}

// Listens on the address. Errors: kNotFound if this system does not have it,
// kUnavailable otherwise.
absl::StatusOr<int> ListenOn(const Address& address, int backlog) {
  const int listener =
      socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return Failure(errno);
  const int on = 1;
  const int off = 0;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ss_family == AF_INET6) {
    // "[::]" includes IPv4.
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0 ||
      listen(listener, backlog) != 0) {
    absl::Status failed = Failure(errno);
    close(listener);
    return failed;
  }
  return listener;
}

bool SystemHasIpv6() {
  const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return errno != EAFNOSUPPORT;
  close(probe);
  return true;
}

absl::StatusOr<std::vector<Address>> Resolve(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) {
    return absl::UnavailableError(absl::StrCat(address, ": not host:port"));
  }
  std::vector<std::string> hosts = {std::string(address.substr(0, colon))};
  std::string& host = hosts.front();
  if (absl::StartsWith(host, "[")) host = host.substr(1, host.size() - 2);
  if (host == "::" && !SystemHasIpv6()) host = "0.0.0.0";
  // The hosts file of a container often has one of the two only.
  if (host == "localhost") hosts = {"127.0.0.1", "::1"};
  const std::string port(address.substr(colon + 1));
  const addrinfo hints{.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                       .ai_family = AF_UNSPEC,
                       .ai_socktype = SOCK_STREAM};
  std::vector<Address> addresses;
  for (const std::string& each : hosts) {
    addrinfo* found = nullptr;
    const int failed = getaddrinfo(each.c_str(), port.c_str(), &hints, &found);
    if (failed != 0) {
      return absl::UnavailableError(
          absl::StrCat(address, ": ", gai_strerror(failed)));
    }
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
      std::memcpy(&addresses.emplace_back(), one->ai_addr, one->ai_addrlen);
    }
    freeaddrinfo(found);
  }
  return addresses;
}

}  // namespace

absl::StatusOr<ListeningSockets> ListeningSockets::Open(
    absl::string_view address, int backlog) {
  const absl::StatusOr<std::vector<Address>> addresses = Resolve(address);
  if (!addresses.ok()) return addresses.status();
  absl::Status failure;
  for (int choice = 0; choice < kMaxPortChoices; ++choice) {
    ListeningSockets sockets;
    failure = sockets.ListenOnAll(*addresses, backlog);
    if (failure.ok()) return sockets;
    // Another choice of the system may be free on the other addresses too.
    if (PortOf(addresses->front()) != 0) break;
  }
  return absl::UnavailableError(absl::StrCat(address, ": ", failure.message()));
}

absl::Status ListeningSockets::ListenOnAll(std::vector<Address> addresses,
                                           int backlog) {
  absl::Status missing;
  for (Address& address : addresses) {
    if (port_ != 0) SetPort(address, port_);
    const absl::StatusOr<int> listener = ListenOn(address, backlog);
    if (listener.ok()) {
      descriptors_.push_back(*listener);
      port_ = BoundPort(*listener);
    } else if (absl::IsNotFound(listener.status())) {
      // One address is enough: a machine without IPv6 may still have an IPv6
      // address for localhost.
      missing = listener.status();
    } else {
      return listener.status();
    }
  }
  return descriptors_.empty() ? missing : absl::OkStatus();
}

ListeningSockets::ListeningSockets(ListeningSockets&& other) noexcept
    : descriptors_(std::exchange(other.descriptors_, {})), port_(other.port_) {}

ListeningSockets& ListeningSockets::operator=(
    ListeningSockets&& other) noexcept {
  if (this != &other) {
    Close();
    descriptors_ = std::exchange(other.descriptors_, {});
    port_ = other.port_;
  }
  return *this;
}

void ListeningSockets::Close() {
  for (const int descriptor : std::exchange(descriptors_, {})) {
    close(descriptor);
  }
}

}  // namespace heapsync
