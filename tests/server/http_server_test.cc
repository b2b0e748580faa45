// The HTTP server before clients that send slowly, read nothing or open too
// many connections. The limits of each test are either never reached or reached
// at once, so nothing here depends on the speed of the machine: where a promise
// is broken, a client waits for its own time-out.

#include "server/observe/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr Duration kNever = std::chrono::hours(1);
constexpr Duration kSoon = std::chrono::milliseconds(50);
constexpr HttpLimits kPatient{.request_timeout = kNever,
                              .connection_timeout = kNever};
// More than the system buffers for a client that reads nothing.
constexpr size_t kLargeBody = 32 << 20;
constexpr timeval kClientTimeout{.tv_sec = 10, .tv_usec = 0};

class Client {
 public:
  explicit Client(int port, const char* host = "127.0.0.1") {
    sockaddr_storage address{};
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address);
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(address);
    if (inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1) {
      ipv6.sin6_family = AF_INET6;
      ipv6.sin6_port = htons(static_cast<uint16_t>(port));
    } else {
      inet_pton(AF_INET, host, &ipv4.sin_addr);
      ipv4.sin_family = AF_INET;
      ipv4.sin_port = htons(static_cast<uint16_t>(port));
    }
    socket_ = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &kClientTimeout,
               sizeof(kClientTimeout));
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address),
                         sizeof(address)) == 0;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_) {}
  ~Client() {
    if (socket_ >= 0) close(socket_);
  }

  bool connected() const { return connected_; }

  bool Send(absl::string_view text) {
    return send(socket_, text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }
  void FinishSending() { shutdown(socket_, SHUT_WR); }

  // All that comes until the server closes the connection; "time-out" follows
  // if it does not.
  std::string Read() {
    std::string text;
    std::vector<char> bytes(1 << 16);
    ssize_t count = 0;
    while ((count = recv(socket_, bytes.data(), bytes.size(), 0)) > 0) {
      text.append(bytes.data(), static_cast<size_t>(count));
    }
    if (count < 0 && errno == EAGAIN) text += "time-out";
    return text;
  }

  // True once the server has closed the connection.
  bool Ended() {
    char byte = 0;
    const ssize_t count = recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return count == 0 || (count < 0 && errno != EAGAIN);
  }

 private:
  int socket_ = -1;
  bool connected_ = false;
};

std::string Get(int port, const std::string& path,
                const char* host = "127.0.0.1") {
  Client client(port, host);
  if (!client.connected()) return "not connected";
  client.Send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
  return client.Read();
}

HttpPages Pages() {
  HttpPages pages;
  pages["/healthz"] = {
      .work = HttpPage::Work::kInstant,
      .handler = [](absl::string_view) { return HttpReply{.body = "ok\n"}; }};
  pages["/large"] = {.work = HttpPage::Work::kMayWait,
                     .handler = [](absl::string_view) {
                       return HttpReply{.body = std::string(kLargeBody, 'x')};
                     }};
  pages["/echo"] = {.work = HttpPage::Work::kMayWait,
                    .handler = [](absl::string_view query) {
                      return HttpReply{.body = std::string(query)};
                    }};
  return pages;
}

std::unique_ptr<HttpServer> Start(HttpLimits limits,
                                  HttpPages pages = Pages()) {
  return *HttpServer::Start("127.0.0.1:0", std::move(pages), limits);
}

TEST(HttpServerTest, SlowHeadsDripsAndSilentClientsKeepNobodyOut) {
  const auto server = Start(kPatient);
  std::vector<Client> hostile;
  for (int i = 0; i < 60; ++i) {
    hostile.emplace_back(server->port()).Send("GET /healthz HTTP/1.1\r\nA: ");
    hostile.emplace_back(server->port());
    hostile.emplace_back(server->port())
        .Send("POST /healthz HTTP/1.1\r\nHost: a\r\n");
    EXPECT_THAT(Get(server->port(), "/healthz"), HasSubstr("ok\n")) << i;
  }
}

TEST(HttpServerTest, ConnectionsBeyondTheMaximumEndTheOldestSilentOnes) {
  HttpLimits limits = kPatient;
  limits.max_connections = 4;
  const auto server = Start(limits);
  std::vector<Client> silent;
  for (int i = 0; i < 6; ++i) {
    silent.emplace_back(server->port()).Send("GET /");
  }
  EXPECT_EQ(silent[0].Read(), "");
  EXPECT_EQ(silent[1].Read(), "");
  EXPECT_THAT(Get(server->port(), "/healthz"), HasSubstr("ok\n"));
  EXPECT_TRUE(silent[5].Send("healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_THAT(silent[5].Read(), HasSubstr("ok\n"));
}

TEST(HttpServerTest, AHeadThatDripsIsCutByItsAge) {
  HttpLimits limits = kPatient;
  limits.request_timeout = kSoon;
  const auto server = Start(limits);
  Client client(server->port());
  client.Send("GET /healthz HTTP/1.1\r\nA: ");
  // Each byte would start an idle time-out again. A busy machine has a minute.
  int drips = 0;
  while (!client.Ended() && drips < 6'000) {
    client.Send("a");
    ++drips;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LT(drips, 6'000);
  EXPECT_EQ(client.Read(), "");
}

TEST(HttpServerTest, ABodyIsNotWaitedFor) {
  const auto server = Start(kPatient);
  Client post(server->port());
  post.Send(
      "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\na");
  EXPECT_THAT(post.Read(), StartsWith("HTTP/1.1 405 "));
  Client chunked(server->port());
  chunked.Send(
      "GET /echo?a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5");
  EXPECT_THAT(chunked.Read(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerTest, ResponsesThatNobodyReadsKeepNobodyOut) {
  HttpLimits limits = kPatient;
  limits.max_connections = 2;
  const auto server = Start(limits);
  std::vector<Client> unread;
  for (int i = 0; i < 4; ++i) {
    unread.emplace_back(server->port())
        .Send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(Get(server->port(), "/healthz"), HasSubstr("ok\n")) << i;
  }
}

TEST(HttpServerTest, AResponseThatIsNotReadInTimeIsCut) {
  HttpLimits limits = kPatient;
  limits.connection_timeout = Duration(1);
  const auto server = Start(limits);
  Client client(server->port());
  client.Send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string response = client.Read();
  EXPECT_LT(response.size(), kLargeBody);
  EXPECT_THAT(response, Not(HasSubstr("time-out")));
}

TEST(HttpServerTest, APageThatWaitsDelaysNoInstantPageAndIsBounded) {
  std::promise<void> go_on;
  HttpPages pages = Pages();
  pages["/waits"] = {
      .work = HttpPage::Work::kMayWait,
      .handler = [future = go_on.get_future().share()](absl::string_view) {
        future.get();
        return HttpReply{.body = "done"};
      }};
  HttpLimits limits = kPatient;
  limits.max_waiting_pages = 2;
  const auto server = Start(limits, std::move(pages));
  std::vector<Client> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.emplace_back(server->port())
        .Send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(Get(server->port(), "/healthz"), HasSubstr("ok\n"));
  }
  EXPECT_THAT(Get(server->port(), "/waits"), StartsWith("HTTP/1.1 503 "));
  go_on.set_value();
  for (Client& client : waiting) EXPECT_THAT(client.Read(), HasSubstr("done"));
}

TEST(HttpServerTest, APageThatIsBeingMadeIsSentBeforeTheServerStops) {
  std::promise<void> asked;
  std::promise<void> go_on;
  HttpPages pages;
  pages["/waits"] = {.work = HttpPage::Work::kMayWait,
                     .handler = [&](absl::string_view) {
                       asked.set_value();
                       go_on.get_future().get();
                       return HttpReply{.body = "done"};
                     }};
  auto server = Start(kPatient, std::move(pages));
  Client client(server->port());
  Client silent(server->port());
  client.Send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
  asked.get_future().get();
  const auto stopped = std::async(std::launch::async, [&] { server.reset(); });
  EXPECT_EQ(silent.Read(), "");
  go_on.set_value();
  EXPECT_THAT(client.Read(), HasSubstr("done"));
}

TEST(HttpServerTest, AClientThatHasFinishedSendingGetsItsResponse) {
  const auto server = Start(kPatient);
  for (const char* path : {"/healthz", "/echo?ok"}) {
    Client client(server->port());
    client.Send(std::string("GET ") + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    client.FinishSending();
    EXPECT_THAT(client.Read(), HasSubstr("ok")) << path;
  }
}

TEST(HttpServerTest, AConnectionServesOneRequest) {
  const auto server = Start(kPatient);
  Client client(server->port());
  client.Send(
      "GET /echo?first HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /echo?second HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string responses = client.Read();
  EXPECT_THAT(responses, HasSubstr("first"));
  EXPECT_THAT(responses, Not(HasSubstr("second")));
}

TEST(HttpServerTest, AHeadThatIsTooLongIsRefused) {
  const auto server = Start(kPatient);
  Client client(server->port());
  client.Send("GET /healthz HTTP/1.1\r\nHost: a\r\nCookie: " +
              std::string(HttpServer::kConnectionBytes, 'a') + "\r\n\r\n");
  EXPECT_THAT(client.Read(), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(Get(server->port(), "/healthz"), HasSubstr("ok\n"));
}

// Skips the test on a system without IPv6.
bool HasIpv6() { return HttpServer::Start("[::1]:0", Pages()).ok(); }

TEST(HttpServerTest, ListensOnIpv6AndOnBothFamilies) {
  if (!HasIpv6()) GTEST_SKIP() << "this system has no IPv6";
  for (const char* address : {"[::]:0", "localhost:0"}) {
    const auto server = HttpServer::Start(address, Pages());
    ASSERT_TRUE(server.ok()) << server.status();
    for (const char* host : {"::1", "127.0.0.1"}) {
      EXPECT_THAT(Get((*server)->port(), "/healthz", host), HasSubstr("ok\n"))
          << address << " " << host;
    }
  }
  const auto only = HttpServer::Start("[::1]:0", Pages());
  EXPECT_THAT(Get((*only)->port(), "/healthz", "::1"), HasSubstr("ok\n"));
  EXPECT_EQ(Get((*only)->port(), "/healthz"), "not connected");
}

TEST(HttpServerTest, APortThatIsTakenOnOneAddressOfANameIsAnError) {
  const auto taken = HttpServer::Start("127.0.0.1:0", Pages());
  const std::string address = "localhost:" + std::to_string((*taken)->port());
  const auto second = HttpServer::Start(address, Pages());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("Address already in use"));
}

}  // namespace
}  // namespace heapsync
