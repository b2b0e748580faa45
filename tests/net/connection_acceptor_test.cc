#include "server/net/connection_acceptor.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/health/health_service.h"
#include "server/net/peer_name.h"

namespace heapsync {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::StartsWith;

const std::string kGreeting = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") +
                              std::string("\0\0\0\4\0\0\0\0\0", 9);
// A frame of SETTINGS, as far as all have it in common.
const std::string kSettings("\4\0\0\0\0\0", 6);
const size_t kTwoSettings = 12;

class Client {
 public:
  explicit Client(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address),
                      sizeof(address)),
              0);
  }
  ~Client() { close(socket_); }

  void Send(const std::string& bytes) {
    EXPECT_EQ(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // "127.0.0.1:1234"
  std::string Name() const {
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&name), &size);
    return PeerName(name);
  }
  void SendNoMore() { EXPECT_EQ(shutdown(socket_, SHUT_WR), 0); }
  // The next bytes that come; fewer if the connection ends before them.
  std::string Receive(size_t size = 9) {
    std::string bytes(size, 0);
    const ssize_t count = recv(socket_, bytes.data(), size, MSG_WAITALL);
    EXPECT_TRUE(count >= 0 || errno == ECONNRESET) << "waited too long";
    return bytes.substr(0, count > 0 ? static_cast<size_t>(count) : 0);
  }
  void ExpectSettings() {
    EXPECT_EQ(Receive().substr(3), kSettings);
    EXPECT_EQ(Receive(kTwoSettings).size(), kTwoSettings);
  }

 private:
  const int socket_;
};

class ConnectionAcceptorTest : public testing::Test {
 protected:
  ~ConnectionAcceptorTest() override {
    if (acceptor_ != nullptr) acceptor_->Stop();
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now());
    }
  }

  void Start(Duration max_wait) {
    auto acceptor = ConnectionAcceptor::Listen("127.0.0.1:0",
                                               {.max_wait = max_wait}, guard_);
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
    grpc::ServerBuilder builder;
    builder.RegisterService(&health_);
    auto connections = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    acceptor_->Start(std::move(connections));
  }
  // Waits until as many connections are in each place.
  void ExpectCounts(size_t arriving, size_t strangers) {
    ConnectionGuard::Counts counts;
    for (int i = 0; i < 20'000; ++i) {
      counts = guard_.Read();
      if (counts.arriving == arriving && counts.strangers == strangers) return;
      std::this_thread::sleep_for(milliseconds(1));
    }
    ADD_FAILURE() << counts.arriving << " arriving, " << counts.strangers
                  << " strangers";
  }
  void ExpectAsleep(bool asleep) {
    for (int i = 0; i < 20'000 && acceptor_->asleep() != asleep; ++i) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    EXPECT_EQ(acceptor_->asleep(), asleep);
  }
  // Waits until a connection was ended for that reason.
  void ExpectEnded(ClosingReason reason) {
    const auto count = [&] {
      return guard_.Read().ended[static_cast<size_t>(reason)];
    };
    for (int i = 0; i < 20'000 && count() == 0; ++i) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    EXPECT_EQ(count(), 1u);
  }

  ConnectionGuard guard_{{.unproven_time = hours(1)}};
  HealthService health_{10};
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(ConnectionAcceptorTest, GrpcGetsAConnectionOnceItHasGreeted) {
  Start(hours(1));
  Client client(acceptor_->port());
  client.Send(kGreeting.substr(0, 30));
  client.ExpectSettings();
  ExpectCounts(1, 0);
  client.Send(kGreeting.substr(30));
  ExpectCounts(0, 1);
  // gRPC's own.
  EXPECT_EQ(client.Receive().substr(3), kSettings);
}

TEST_F(ConnectionAcceptorTest, TheServerSpeaksFirst) {
  Start(hours(1));
  Client client(acceptor_->port());
  EXPECT_EQ(client.Receive(), std::string("\0\0\x0c", 3) + kSettings);
  // As many calls and bytes of metadata as gRPC allows.
  EXPECT_EQ(client.Receive(6), std::string("\0\3\0\0\0\x64", 6));
  EXPECT_EQ(client.Receive(6), std::string("\0\6\0\0\x20\0", 6));
}

TEST_F(ConnectionAcceptorTest, OneThatLeavesBeforeItGreetedIsClosedAtOnce) {
  Start(hours(1));
  Client client(acceptor_->port());
  client.Send(kGreeting.substr(0, 30));
  client.ExpectSettings();
  ExpectCounts(1, 0);
  client.SendNoMore();
  EXPECT_EQ(client.Receive(), "");
  ExpectCounts(0, 0);
}

TEST_F(ConnectionAcceptorTest, OneThatSpeaksSomethingElseIsRefusedAtOnce) {
  Start(hours(1));
  Client client(acceptor_->port());
  client.Send("GET / HTTP/1.1\r\n\r\n");
  client.ExpectSettings();
  EXPECT_THAT(client.Receive().substr(3), StartsWith("\7"));
  EXPECT_EQ(client.Receive().size(), 8u);
  EXPECT_EQ(client.Receive(), "");
  ExpectEnded(ClosingReason::kProtocol);
}

TEST_F(ConnectionAcceptorTest, OneThatDoesNotGreetInTimeIsEnded) {
  Start(milliseconds(30));
  Client client(acceptor_->port());
  client.ExpectSettings();
  EXPECT_EQ(client.Receive(), "");
  ExpectEnded(ClosingReason::kUnproven);
}

TEST_F(ConnectionAcceptorTest, WhileAllAreSilentTheNextBytesAreWaitedFor) {
  Start(hours(1));
  auto client = std::make_unique<Client>(acceptor_->port());
  client->Send(kGreeting);
  ExpectCounts(0, 1);
  guard_.Admitted(absl::StrCat("ipv4:", client->Name()), "caller");
  ExpectAsleep(true);
  // A ping.
  client->Send(std::string("\0\0\x08\6\0\0\0\0\0", 9) + std::string(8, 0));
  ExpectAsleep(false);
  ExpectAsleep(true);
  client.reset();
  for (int i = 0; i < 20'000 && guard_.Read().known > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(guard_.Read().known, 0u);
}

TEST_F(ConnectionAcceptorTest, AtTheEndOnesThatDidNotGreetAreClosed) {
  Start(hours(1));
  Client client(acceptor_->port());
  client.ExpectSettings();
  ExpectCounts(1, 0);
  acceptor_->Stop();
  EXPECT_EQ(client.Receive(), "");
}

}  // namespace
}  // namespace heapsync
