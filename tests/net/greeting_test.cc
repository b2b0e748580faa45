#include "server/net/greeting.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

namespace heapsync {
namespace {

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// With one setting.
const std::string kSettings =
    std::string("\0\0\6\4\0\0\0\0\0", 9) + std::string("\0\4\0\0\1\0", 6);
const std::string kHello =
    std::string("\x16\x03\x01\x00\x03", 5) + std::string("\1\0\0", 3);

class GreetingTest : public testing::Test {
 protected:
  GreetingTest() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0);
  }
  ~GreetingTest() override {
    close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }
  void Send(const std::string& bytes) {
    ASSERT_EQ(write(ends_[1], bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  bool Greeted(Protocol protocol) {
    const auto arrived = ReadArrived(ends_[0], protocol);
    return arrived.has_value() && arrived->greeted;
  }
  // Sends a greeting byte by byte; nothing but the whole is one.
  void ExpectWhole(Protocol protocol, const std::string& greeting) {
    for (const char byte : greeting) {
      EXPECT_FALSE(Greeted(protocol));
      Send(std::string(1, byte));
    }
    EXPECT_TRUE(Greeted(protocol));
    EXPECT_EQ(ReadArrived(ends_[0], protocol)->bytes, greeting.size());
  }

  std::array<int, 2> ends_{};
};

TEST_F(GreetingTest, ThePrefaceAndItsSettingsAreWaitedFor) {
  ExpectWhole(Protocol::kHttp2, kPreface + kSettings);
}

TEST_F(GreetingTest, TheWholeFirstRecordIsWaitedFor) {
  ExpectWhole(Protocol::kTls, kHello);
}

TEST_F(GreetingTest, WhatIsNoGreetingIsNotWaitedFor) {
  Send("GET");
  EXPECT_TRUE(Greeted(Protocol::kHttp2));
  EXPECT_TRUE(Greeted(Protocol::kTls));
  EXPECT_EQ(GreetingBytes(Protocol::kTls, "\x16\x03\x01\xff\xff"), 5u);
  EXPECT_EQ(GreetingBytes(Protocol::kHttp2, kPreface + std::string(9, '\xff')),
            33u);
}

TEST_F(GreetingTest, OneThatLeavesWithoutAGreetingIsGone) {
  close(ends_[1]);
  ends_[1] = -1;
  EXPECT_FALSE(ReadArrived(ends_[0], Protocol::kTls).has_value());
}

}  // namespace
}  // namespace heapsync
