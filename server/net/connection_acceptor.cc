#include "server/net/connection_acceptor.h"

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
#include <vector>

#include "absl/status/status.h"
#include "server/log/log.h"

namespace heapsync {
namespace {

constexpr int kBacklog = 1'024;
// Interval of the checks for closed connections at the maximum.
constexpr int kRecountMs = 50;

std::string LastError() { return std::strerror(errno); }

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Listen(
    absl::string_view address, uint32_t max_connections) {
  absl::StatusOr<ListeningSockets> listeners =
      ListeningSockets::Open(address, kBacklog);
  if (!listeners.ok()) return listeners.status();
  std::unique_ptr<ConnectionAcceptor> acceptor(
      new ConnectionAcceptor(*std::move(listeners), max_connections));
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
  listeners_.Close();
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> waits;
  while (true) {
    const bool full = connections_.size() >= max_connections_;
    waits.assign(1, {.fd = stop_event_, .events = POLLIN, .revents = 0});
    if (!full) {
      for (const int listener : listeners_.descriptors()) {
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
