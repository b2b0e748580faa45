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
// The heads of a record of 64 bytes and of the ClientHello in it.
const std::string kHelloHead("\x16\x03\x01\x00\x40\x01\x00\x00\x3c", 9);
const std::string kHello = kHelloHead + std::string(60, 'x');

std::string With(std::string text, size_t position, char byte) {
  text[position] = byte;
  return text;
}

Greeting Read(Protocol protocol, const std::string& bytes) {
  return ReadGreeting(protocol,
                      absl::string_view(bytes).substr(0, kGreetingHead),
                      bytes.size());
}

class GreetingTest : public testing::Test {
 protected:
  GreetingTest() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0);
  }
  ~GreetingTest() override {
    for (const int end : ends_) close(end);
  }
  void Send(const std::string& bytes) {
    ASSERT_EQ(write(ends_[1], bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  // What the client reads until the connection ends.
  std::string Received() {
    std::string received;
    std::array<char, 100> part;
    ssize_t count;
    while ((count = read(ends_[1], part.data(), part.size())) > 0) {
      received.append(part.data(), static_cast<size_t>(count));
    }
    EXPECT_EQ(count, 0);
    return received;
  }
  // Sends a greeting byte by byte; nothing but the whole is one.
  void ExpectWhole(Protocol protocol, const std::string& greeting) {
    for (const char byte : greeting) {
      EXPECT_EQ(ReadArrived(ends_[0], protocol).greeting, Greeting::kPartial);
      Send(std::string(1, byte));
    }
    Send("more");
    const Arrived arrived = ReadArrived(ends_[0], protocol);
    EXPECT_EQ(arrived.greeting, Greeting::kWhole);
    EXPECT_EQ(arrived.bytes, greeting.size() + 4);
  }

  std::array<int, 2> ends_{};
};

TEST_F(GreetingTest, ThePrefaceAndItsSettingsAreWaitedFor) {
  ExpectWhole(Protocol::kHttp2, kPreface + kSettings);
}

std::string Frame(char type, char flags, char stream,
                  const std::string& payload) {
  std::string frame("\0\0\0\0\0\0\0\0\0", 9);
  frame[2] = static_cast<char>(payload.size());
  frame[3] = type;
  frame[4] = flags;
  frame[8] = stream;
  return frame + payload;
}

TEST_F(GreetingTest, ACallWithItsFirstMessageIsAsked) {
  const std::string greeting = kPreface + kSettings;
  const std::string update = Frame(8, 0, 0, std::string("\0\0\0\1", 4));
  const std::string message("\0\0\0\0\3abc", 8);
  for (const std::string& call :
       {Frame(1, 4, 1, "head") + Frame(0, 0, 1, message),
        Frame(1, 0, 1, "he") + Frame(9, 4, 1, "ad") + Frame(0, 0, 1, message),
        // In two frames, the first with padding; an end instead of a message.
        Frame(1, 4, 3, "head") + Frame(0, 8, 3, "\4" + message.substr(0, 7)) +
            Frame(0, 0, 3, message.substr(7)),
        Frame(1, 5, 1, "head"), Frame(1, 4, 1, "head") + Frame(0, 1, 1, "")}) {
    const std::string bytes = greeting + update + call;
    for (size_t size = greeting.size(); size < bytes.size(); ++size) {
      ASSERT_EQ(Read(Protocol::kHttp2, bytes.substr(0, size)),
                Greeting::kWhole);
    }
    EXPECT_EQ(Read(Protocol::kHttp2, bytes), Greeting::kAsked);
    EXPECT_EQ(Read(Protocol::kHttp2, bytes + update), Greeting::kAsked);
  }
  for (const std::string& none :
       {update, Frame(1, 0, 1, "head") + Frame(0, 1, 1, ""),
        Frame(1, 4, 1, "head") + Frame(0, 0, 3, message),
        Frame(0, 1, 1, message), Frame(0, 8, 1, ""), Frame(1, 4, 0, message)}) {
    EXPECT_EQ(Read(Protocol::kHttp2, greeting + none), Greeting::kWhole);
  }
}

TEST_F(GreetingTest, TheWholeFirstRecordIsWaitedFor) {
  ExpectWhole(Protocol::kTls, kHello);
}

TEST_F(GreetingTest, WhatIsNotHttp2IsKnownByItsFirstWrongByte) {
  for (const std::string& bytes :
       {std::string("G"), kHello, kPreface + "GET / HTTP/1.1\r\n",
        kPreface + std::string("\xff", 1) + std::string(8, '\0'),
        // Seven bytes of settings; another frame, an acknowledgement, a stream.
        kPreface + With(kSettings, 2, 7), kPreface + With(kSettings, 3, 1),
        kPreface + With(kSettings, 4, 1), kPreface + With(kSettings, 8, 1)}) {
    EXPECT_EQ(Read(Protocol::kHttp2, bytes), Greeting::kNone) << bytes;
  }
  // Bits that have no meaning.
  EXPECT_EQ(Read(Protocol::kHttp2, kPreface + With(kSettings, 4, 2)),
            Greeting::kWhole);
  EXPECT_EQ(Read(Protocol::kHttp2, kPreface + With(kSettings, 5, '\x80')),
            Greeting::kWhole);
}

TEST_F(GreetingTest, WhatIsNoClientHelloIsKnownByItsHead) {
  for (const std::string& bytes :
       {std::string("\n"), kPreface,
        // No handshake; SSL 2 and a version to come; no length and one beyond
        // the protocol; a ServerHello.
        With(kHello, 0, 0x15), With(kHello, 1, 2), With(kHello, 2, 5),
        With(kHello, 4, 0), With(kHello, 3, 0x41), With(kHello, 5, 2),
        // A hello of 16 MiB, one without a cipher, and one that ends before
        // its record does.
        With(kHelloHead, 6, '\xff'), With(kHelloHead, 8, 40),
        With(kHelloHead, 8, 0x3b)}) {
    EXPECT_EQ(Read(Protocol::kTls, bytes), Greeting::kNone) << bytes;
  }
  EXPECT_EQ(Read(Protocol::kTls, kHelloHead), Greeting::kPartial);
}

TEST_F(GreetingTest, AHelloMayGoOnInTheNextRecord) {
  EXPECT_EQ(Read(Protocol::kTls, With(kHello, 7, 2)), Greeting::kWhole);
}

TEST_F(GreetingTest, OneThatSpeaksSomethingElseIsToldWhatIsSpokenHere) {
  Send("GET / HTTP/1.1\r\n\r\n");
  Refuse(ends_[0], Protocol::kHttp2);
  // GOAWAY with PROTOCOL_ERROR.
  EXPECT_EQ(Received(), std::string("\0\0\x08\7\0\0\0\0\0", 9) +
                            std::string("\0\0\0\0\0\0\0\1", 8));
}

TEST_F(GreetingTest, ClientsOfATlsPortGetNoAnswerInPlaintext) {
  Send("GET / HTTP/1.1\r\n\r\n");
  Refuse(ends_[0], Protocol::kTls);
  EXPECT_EQ(Received(), "");
}

}  // namespace
}  // namespace heapsync
