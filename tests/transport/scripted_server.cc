#include "tests/transport/scripted_server.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

void Check(bool ok) {
  if (!ok) std::abort();
}

size_t ContentLength(absl::string_view head) {
  const std::string lowercase = absl::AsciiStrToLower(head);
  const std::string kName = "content-length:";
  const size_t at = lowercase.find(kName);
  if (at == std::string::npos) return 0;
  const absl::string_view tail =
      absl::string_view(lowercase).substr(at + kName.size());
  size_t length = 0;
  Check(absl::SimpleAtoi(tail.substr(0, tail.find('\r')), &length));
  return length;
}

}  // namespace

Reply Answer(int status, absl::string_view body,
             absl::string_view extra_headers) {
  Reply reply;
  reply.bytes = absl::StrCat("HTTP/1.1 ", status, " Words\r\n", extra_headers,
                             "Content-Length: ", body.size(), "\r\n\r\n", body);
  return reply;
}

// One accepted socket. Only its own thread uses it, but for Break().
class ScriptedServer::Connection {
 public:
  Connection(int socket, const SelfSigned* identity)
      : socket_(socket),
        tls_(identity == nullptr ? nullptr : SSL_new(identity->context())) {}
  ~Connection() {
    if (tls_ != nullptr) SSL_free(tls_);
    close(socket_);
  }

  bool Handshake() {
    if (tls_ == nullptr) return true;
    SSL_set_fd(tls_, socket_);
    return SSL_accept(tls_) == 1;
  }

  // Reads until the text read so far satisfies `enough`; false at the end.
  template <typename Enough>
  bool ReadUntil(const Enough& enough) {
    while (!enough(buffer_)) {
      std::array<char, 65'536> block;
      const auto count =
          tls_ != nullptr
              ? SSL_read(tls_, block.data(), static_cast<int>(block.size()))
              : read(socket_, block.data(), block.size());
      if (count <= 0) return false;
      buffer_.append(block.data(), static_cast<size_t>(count));
    }
    return true;
  }

  // Takes the first request off what was read: its head at least.
  std::optional<std::string> ReadRequest(Reply::ReadFirst what) {
    if (what == Reply::ReadFirst::kNothing) return "";
    size_t head = std::string::npos;
    if (!ReadUntil([&head](const std::string& text) {
          head = text.find("\r\n\r\n");
          return head != std::string::npos;
        })) {
      return std::nullopt;
    }
    size_t size = head + 4;
    if (what == Reply::ReadFirst::kAll) {
      size += ContentLength(buffer_.substr(0, head));
      if (!ReadUntil([size](const std::string& text) {
            return text.size() >= size;
          })) {
        return std::nullopt;
      }
    }
    std::string request = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return request;
  }

  void Write(absl::string_view bytes) {
    while (!bytes.empty()) {
      const auto count =
          tls_ != nullptr
              ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
              : send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }

  // Makes closing drop what is unsent and tell the peer by a reset.
  void ResetOnClose() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  }

  void WaitForEnd() {
    ReadUntil([](const std::string&) { return false; });
  }

  // From any thread: ends reading and writing.
  void Break() { shutdown(socket_, SHUT_RDWR); }

 private:
  const int socket_;
  SSL* const tls_;
  std::string buffer_;
};

ScriptedServer::ScriptedServer(std::vector<Reply> replies,
                               const SelfSigned* identity)
    : identity_(identity),
      replies_(std::make_move_iterator(replies.begin()),
               std::make_move_iterator(replies.end())) {
  // OpenSSL writes without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  Check(bind(listener_, generic, size) == 0);
  Check(listen(listener_, SOMAXCONN) == 0);
  Check(getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_) {
      if (connection != nullptr) connection->Break();
    }
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string ScriptedServer::Url(absl::string_view path) const {
  return absl::StrCat(identity_ == nullptr ? "http" : "https",
                      "://127.0.0.1:", port_, path);
}

std::vector<std::string> ScriptedServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

int ScriptedServer::connections() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(connections_.size());
}

void ScriptedServer::Accept() {
  while (true) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const std::lock_guard lock(mutex_);
    const size_t place = connections_.size();
    connections_.push_back(std::make_unique<Connection>(socket, identity_));
    Connection* connection = connections_.back().get();
    threads_.emplace_back([this, connection, place] {
      Serve(*connection);
      std::unique_ptr<Connection> done;
      const std::lock_guard lock_to_close(mutex_);
      done = std::move(connections_[place]);
    });
  }
}

Reply ScriptedServer::NextReply() {
  const std::lock_guard lock(mutex_);
  if (replies_.empty()) return {"", Reply::Then::kHang};
  Reply reply = std::move(replies_.front());
  replies_.pop_front();
  return reply;
}

void ScriptedServer::Serve(Connection& connection) {
  if (!connection.Handshake()) return;
  while (true) {
    // Only a request takes a reply, so the first byte comes first.
    if (!connection.ReadUntil(
            [](const std::string& t) { return !t.empty(); })) {
      return;
    }
    const Reply reply = NextReply();
    std::optional<std::string> request =
        connection.ReadRequest(reply.read_first);
    if (!request.has_value()) return;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(*std::move(request));
    }
    connection.Write(reply.bytes);
    switch (reply.then) {
      case Reply::Then::kKeep:
        break;
      case Reply::Then::kClose:
        return;
      case Reply::Then::kReset:
        connection.ResetOnClose();
        return;
      case Reply::Then::kHang:
        connection.WaitForEnd();
        return;
    }
  }
}

}  // namespace heapsync
