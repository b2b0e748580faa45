#include "tests/bench/load/sink.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/bench/load/process_cpu.h"

namespace heapsync::bench {
namespace {

constexpr absl::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    "Content-Length: 2\r\n\r\n{}";

void Require(bool well, const char* what) {
  if (well) return;
  std::perror(what);
  std::exit(1);
}

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// One connection: heads and bodies as they come.
class Connection {
 public:
  Connection(int socket, Sink::Counters& counters)
      : socket_(socket), counters_(counters) {}

  // False: the connection is over.
  bool Take(absl::string_view bytes) {
    while (!bytes.empty()) {
      if (body_left_ > 0) {
        const absl::string_view part = bytes.substr(0, body_left_);
        braces_ +=
            static_cast<uint64_t>(std::count(part.begin(), part.end(), '{'));
        body_left_ -= part.size();
        bytes.remove_prefix(part.size());
        if (body_left_ == 0 && !AnswerRequest()) return false;
        continue;
      }
      const size_t before = head_.size();
      head_.append(bytes.data(), bytes.size());
      const size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) return head_.size() < 65'536;
      bytes.remove_prefix(end + 4 - before);
      if (!ReadHead()) return false;
    }
    return true;
  }

 private:
  bool ReadHead() {
    const std::string head = absl::AsciiStrToLower(head_);
    head_.clear();
    constexpr absl::string_view kLength = "content-length: ";
    const size_t at = head.find(kLength.data());
    if (at == std::string::npos) return false;
    absl::string_view digits =
        absl::string_view(head).substr(at + kLength.size());
    digits = digits.substr(0, digits.find('\r'));
    uint64_t length = 0;
    if (!absl::SimpleAtoi(digits, &length)) return false;
    body_left_ = length;
    counters_.bytes.fetch_add(length, std::memory_order_relaxed);
    return body_left_ > 0 || AnswerRequest();
  }

  bool AnswerRequest() {
    const int64_t now = NowNs();
    if (counters_.first_arrival_ns.load(std::memory_order_relaxed) == 0) {
      counters_.first_arrival_ns.store(now, std::memory_order_relaxed);
    }
    counters_.last_arrival_ns.store(now, std::memory_order_relaxed);
    // One brace opens the body, two open each event.
    counters_.events.fetch_add(braces_ / 2, std::memory_order_relaxed);
    counters_.requests.fetch_add(1, std::memory_order_relaxed);
    braces_ = 0;
    return send(socket_, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(kAnswer.size());
  }

  const int socket_;
  Sink::Counters& counters_;
  std::string head_;
  uint64_t body_left_ = 0;
  uint64_t braces_ = 0;
};

void ServeForever(int listener, Sink::Counters& counters) {
  const int poll = epoll_create1(0);
  Require(poll >= 0, "epoll_create1");
  const auto watch = [poll](int socket) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = socket}};
    Require(epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) == 0, "epoll_ctl");
  };
  watch(listener);
  std::map<int, Connection> connections;
  std::vector<char> buffer(256 << 10);
  std::vector<epoll_event> events(64);
  while (true) {
    const int ready =
        epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < ready; ++i) {
      const int socket = events[static_cast<size_t>(i)].data.fd;
      if (socket == listener) {
        const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        const int on = 1;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        connections.erase(accepted);
        connections.emplace(accepted, Connection(accepted, counters));
        watch(accepted);
        continue;
      }
      const ssize_t count = recv(socket, buffer.data(), buffer.size(), 0);
      if (count > 0 && connections.at(socket).Take(absl::string_view(
                           buffer.data(), static_cast<size_t>(count)))) {
        continue;
      }
      connections.erase(socket);
      close(socket);
    }
  }
}

}  // namespace

Sink::Sink() {
  void* const shared = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  Require(shared != MAP_FAILED, "mmap");
  counters_ = new (shared) Counters{};

  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Require(listener >= 0, "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  Require(bind(listener, plain, size) == 0, "bind");
  Require(listen(listener, 256) == 0, "listen");
  Require(getsockname(listener, plain, &size) == 0, "getsockname");
  port_ = ntohs(address.sin_port);

  pid_ = fork();
  Require(pid_ >= 0, "fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ServeForever(listener, *counters_);
  }
  close(listener);
}

Sink::~Sink() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  munmap(counters_, sizeof(Counters));
}

std::string Sink::url() const {
  return absl::StrCat("http://127.0.0.1:", port_);
}

void Sink::Reset() {
  counters_->requests = 0;
  counters_->bytes = 0;
  counters_->events = 0;
  counters_->first_arrival_ns = 0;
  counters_->last_arrival_ns = 0;
}

double Sink::CpuSeconds() const { return CpuSecondsOf(pid_); }

}  // namespace heapsync::bench
