#include "server/net/connection_acceptor.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/log/log.h"

namespace heapsync {
namespace {

constexpr int kBacklog = 1'024;
// Interval of the checks for closed connections at the maximum.
constexpr int kRecountMs = 50;

std::string LastError() { return std::strerror(errno); }

int PortOf(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) !=
      0) {
    return 0;
  }
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

void SetPort(addrinfo& address, int port) {
  auto& number =
      address.ai_family == AF_INET6
          ? reinterpret_cast<sockaddr_in6*>(address.ai_addr)->sin6_port
          : reinterpret_cast<sockaddr_in*>(address.ai_addr)->sin_port;
  number = htons(static_cast<uint16_t>(port));
}

absl::StatusOr<int> ListenOn(const addrinfo& address) {
  const int listener =
      socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return absl::UnavailableError(LastError());
  const int on = 1;
  const int off = 0;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ai_family == AF_INET6) {
    // "[::]" includes IPv4.
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (bind(listener, address.ai_addr, address.ai_addrlen) != 0 ||
      listen(listener, kBacklog) != 0) {
    absl::Status failed = absl::UnavailableError(LastError());
    close(listener);
    return failed;
  }
  return listener;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Listen(
    absl::string_view address, uint32_t max_connections) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  if (absl::StartsWith(host, "[")) host = host.substr(1, host.size() - 2);
  const addrinfo hints{.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                       .ai_family = AF_UNSPEC,
                       .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(std::string(host).c_str(),
                                 std::string(address.substr(colon + 1)).c_str(),
                                 &hints, &found);
  if (failed != 0) {
    return absl::UnavailableError(
        absl::StrCat(address, ": ", gai_strerror(failed)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found,
                                                                 freeaddrinfo);
  std::unique_ptr<ConnectionAcceptor> acceptor(
      new ConnectionAcceptor(max_connections));
  absl::Status first_failure;
  for (addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (acceptor->port_ != 0) SetPort(*each, acceptor->port_);
    const absl::StatusOr<int> listener = ListenOn(*each);
    if (listener.ok()) {
      acceptor->listeners_.push_back(*listener);
      acceptor->port_ = PortOf(*listener);
    } else if (first_failure.ok()) {
      first_failure = absl::UnavailableError(
          absl::StrCat(address, ": ", listener.status().message()));
    }
  }
  // One usable address is enough: a machine without IPv6 may still have an IPv6
  // address for localhost.
  if (acceptor->listeners_.empty()) return first_failure;
  acceptor->stop_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (acceptor->stop_event_ < 0) return absl::UnavailableError(LastError());
  return acceptor;
}

ConnectionAcceptor::~ConnectionAcceptor() {
  Stop();
  if (stop_event_ >= 0) close(stop_event_);
}

void ConnectionAcceptor::Start(
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server) {
  server_ = std::move(server);
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    static_cast<void>(write(stop_event_, &one, sizeof(one)));
    thread_.join();
  }
  for (const int listener : std::exchange(listeners_, {})) close(listener);
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> waits;
  while (true) {
    const bool full = connections_.size() >= max_connections_;
    waits.assign(1, {.fd = stop_event_, .events = POLLIN, .revents = 0});
    if (!full) {
      for (const int listener : listeners_) {
        waits.push_back({.fd = listener, .events = POLLIN, .revents = 0});
      }
    }
    if (poll(waits.data(), waits.size(), full ? kRecountMs : -1) < 0 &&
        errno != EINTR) {
      Log(LogSeverity::kError, "cannot wait for connections",
          {{"error", LastError()}});
      return;
    }
    if (waits[0].revents != 0) return;
    if (full) Recount();
    for (size_t i = 1; i < waits.size(); ++i) {
      if (waits[i].revents != 0) Accept(waits[i].fd);
    }
  }
}

void ConnectionAcceptor::Accept(int listener) {
  const int connection =
      accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (connection < 0) {
    // Aborted connections and signals are not errors.
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
        errno != ENOMEM) {
      return;
    }
    Log(LogSeverity::kWarning, "cannot accept a connection",
        {{"error", LastError()}});
    pollfd stop{.fd = stop_event_, .events = POLLIN, .revents = 0};
    poll(&stop, 1, kRecountMs);
    return;
  }
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  struct stat socket {};
  if (fstat(connection, &socket) == 0) {
    // The system may have reused a descriptor that gRPC closed.
    connections_[connection] = socket.st_ino;
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
      parameters;
  parameters.listener_fd = listener;
  parameters.fd = connection;
  server_->HandleNewConnection(&parameters);
  if (connections_.size() < max_connections_) return;
  Recount();
  if (connections_.size() >= max_connections_) {
    Log(LogSeverity::kWarning, "all connections are taken; others wait",
        {{"connections", connections_.size()}});
  }
}

void ConnectionAcceptor::Recount() {
  absl::erase_if(connections_, [](const std::pair<const int, ino_t>& each) {
    struct stat now {};
    return fstat(each.first, &now) != 0 || now.st_ino != each.second;
  });
}

}  // namespace heapsync
