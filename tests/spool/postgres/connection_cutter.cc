#include "tests/spool/postgres/connection_cutter.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace heapsync {
namespace {

constexpr int kTickMs = 20;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

bool SendAll(int socket, const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count =
        send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

bool WaitReadable(int socket, int timeout_ms) {
  pollfd each{.fd = socket, .events = POLLIN, .revents = 0};
  return poll(&each, 1, timeout_ms) > 0;
}

// Bytes that are there; empty at the end of the connection.
std::string ReadSome(int socket) {
  std::string bytes(64 << 10, '\0');
  const ssize_t count = recv(socket, bytes.data(), bytes.size(), 0);
  bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return bytes;
}

}  // namespace

ConnectionCutter::ConnectionCutter(int server_port)
    : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  HEAPSYNC_CHECK(
      bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      listen(listener_, 16) == 0 &&
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0)
      << "cannot listen";
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

ConnectionCutter::~ConnectionCutter() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  accepting_.join();
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& each : threads) each.join();
  close(listener_);
}

void ConnectionCutter::Arm(std::string text, Fate fate) {
  MutexLock lock(mutex_);
  text_ = std::move(text);
  fate_ = fate;
}

int ConnectionCutter::met() const {
  MutexLock lock(mutex_);
  return met_;
}

void ConnectionCutter::Release() {
  MutexLock lock(mutex_);
  release_ = true;
  changed_.NotifyAll();
  while (held_ > 0) changed_.Wait(mutex_);
}

void ConnectionCutter::Refuse(bool refuse) {
  MutexLock lock(mutex_);
  refuse_ = refuse;
}

int ConnectionCutter::refused() const {
  MutexLock lock(mutex_);
  return refused_;
}

void ConnectionCutter::Accept() {
  while (true) {
    const bool ready = WaitReadable(listener_, kTickMs);
    MutexLock lock(mutex_);
    if (stopping_) return;
    if (!ready) continue;
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) continue;
    if (refuse_) {
      ++refused_;
      close(client);
      continue;
    }
    threads_.emplace_back([this, client] { Serve(client); });
  }
}

void ConnectionCutter::Serve(int client) {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(server_port_);
  bool open = connect(server, reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)) == 0;
  while (open) {
    pollfd both[] = {{.fd = client, .events = POLLIN, .revents = 0},
                     {.fd = server, .events = POLLIN, .revents = 0}};
    poll(both, 2, kTickMs);
    {
      MutexLock lock(mutex_);
      if (stopping_ || refuse_) break;
    }
    if (both[1].revents != 0) {
      const std::string bytes = ReadSome(server);
      open = !bytes.empty() && SendAll(client, bytes);
    }
    if (!open || both[0].revents == 0) continue;
    const std::string bytes = ReadSome(client);
    bool meets = false;
    std::string text;
    Fate fate = Fate::kCutBefore;
    {
      MutexLock lock(mutex_);
      meets = !text_.empty() && bytes.find(text_) != std::string::npos;
      fate = fate_;
      if (meets) {
        text = std::exchange(text_, {});
        ++met_;
        if (fate == Fate::kHold) {
          ++held_;
          while (!release_ && !stopping_) changed_.Wait(mutex_);
        }
      }
    }
    if (!meets) {
      open = !bytes.empty() && SendAll(server, bytes);
      continue;
    }
    if (fate == Fate::kCutWithin) {
      SendAll(server, bytes.substr(0, bytes.find(text)));
    } else if (fate != Fate::kCutBefore && SendAll(server, bytes)) {
      // The answer to the last command ends with the state of the session.
      while (WaitReadable(server, 1'000)) {
        const std::string answer = ReadSome(server);
        if (answer.empty() || answer.find("COMMIT") != std::string::npos) {
          break;
        }
      }
    }
    open = false;
  }
  close(client);
  close(server);
  MutexLock lock(mutex_);
  if (release_) held_ = 0;
  changed_.NotifyAll();
}

}  // namespace heapsync
