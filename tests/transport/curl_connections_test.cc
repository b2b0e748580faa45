// Which connections the transport uses, and when it looks names up.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_replace.h"
#include "heap_adapter/transport/curl_transport.h"
#include "tests/transport/scripted_server.h"

namespace {

constexpr char kName[] = "moving.heap.test";
std::atomic<int> lookups = 0;

}  // namespace

// Stands in front of the C library's: kName is this machine, and lookups of it
// are counted.
extern "C" int getaddrinfo(const char* node, const char* service,
                           const addrinfo* hints, addrinfo** result) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node != nullptr && std::string(node) == kName) {
    ++lookups;
    node = "127.0.0.1";
  }
  return real(node, service, hints, result);
}

namespace heapsync {
namespace {

using ::testing::SizeIs;
using Kind = TransportFailure::Kind;
using Then = Reply::Then;

HeapResponse Exchange(CurlTransport& transport, const std::string& url) {
  transport.Send({.id = 1, .url = url, .body = "{}"});
  std::vector<HeapResponse> answers = transport.Wait(Duration::max());
  EXPECT_THAT(answers, SizeIs(1));
  return answers.at(0);
}

bool Responded(const HeapResponse& answer) {
  return std::holds_alternative<HttpResponse>(answer.result);
}

TEST(CurlConnections, ATimeoutGivesUpTheIdleOnesToo) {
  ScriptedServer server({Answer(200, "{}"),
                         Answer(200, "{}"),
                         Answer(200, "{}"),
                         {"", Then::kHang},
                         Answer(200, "{}")});
  CurlTransport transport({.request_timeout = std::chrono::seconds(1)});
  for (uint64_t id = 1; id <= 3; ++id) {
    transport.Send({.id = id, .url = server.Url(), .body = "{}"});
  }
  for (size_t count = 0; count < 3;) {
    count += transport.Wait(Duration::max()).size();
  }
  const int before = server.connections();
  EXPECT_FALSE(Responded(Exchange(transport, server.Url())));
  EXPECT_TRUE(Responded(Exchange(transport, server.Url())));
  EXPECT_EQ(server.connections(), before + 1);
}

TEST(CurlConnections, ANewOneLooksTheNameUpAgain) {
  // Announced, since a close that is not may meet the next request.
  Reply closing = Answer(200, "{}", "Connection: close\r\n");
  closing.then = Then::kClose;
  ScriptedServer server({closing, closing, closing});
  CurlTransport transport;
  const std::string url =
      absl::StrReplaceAll(server.Url(), {{"127.0.0.1", kName}});
  lookups = 0;
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(Responded(Exchange(transport, url)));
    EXPECT_EQ(lookups, i);
  }
}

TEST(CurlConnections, AreRenewedByAge) {
  ScriptedServer server({Answer(200, "{}"), Answer(200, "{}")});
  CurlTransport transport({.max_connection_age = std::chrono::seconds(1)});
  EXPECT_TRUE(Responded(Exchange(transport, server.Url())));
  // Ages count in whole seconds.
  transport.Wait(std::chrono::milliseconds(2'050));
  EXPECT_TRUE(Responded(Exchange(transport, server.Url())));
  EXPECT_EQ(server.connections(), 2);
}

}  // namespace
}  // namespace heapsync
