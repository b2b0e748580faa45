#include "heap_adapter/config/setting_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The normalized URL, or "" where it is refused.
std::string Checked(absl::string_view url, PlaintextPolicy plaintext =
                                               PlaintextPolicy::kLoopbackOnly) {
  const absl::StatusOr<std::string> checked = CheckHeapUrl(url, plaintext);
  if (checked.ok()) return *checked;
  EXPECT_EQ(checked.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(checked.status().message(), "");
  return "";
}

TEST(HeapUrl, MayBeHttpsToAnyHost) {
  for (const char* url :
       {"https://heapanalytics.com", "https://c.eu.heap-api.com:8443",
        "https://10.1.2.3", "https://[2001:db8::1]:443", "https://fake_heap"}) {
    EXPECT_EQ(Checked(url), url);
  }
}

TEST(HeapUrl, IsNormalized) {
  EXPECT_EQ(Checked("https://heapanalytics.com/"), "https://heapanalytics.com");
  EXPECT_EQ(Checked("HTTPS://HeapAnalytics.COM:443/"),
            "https://heapanalytics.com:443");
}

TEST(HeapUrl, MayBePlainHttpToThisMachine) {
  for (const char* url :
       {"http://localhost:8080", "http://127.0.0.1", "http://127.255.255.254:1",
        "http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]"}) {
    EXPECT_EQ(Checked(url), url);
  }
}

TEST(HeapUrl, MayBePlainHttpElsewhereOnlyWhenAllowed) {
  for (const char* url :
       {"http://heapanalytics.com", "http://fake-heap:8080", "http://128.0.0.1",
        "http://10.0.0.1", "http://[::2]", "http://[::ffff:7f00:1]",
        "http://localhost.example.com", "http://127.0.0.1.example.com",
        "http://0.0.0.0"}) {
    EXPECT_EQ(Checked(url), "") << url;
    EXPECT_EQ(Checked(url, PlaintextPolicy::kAnywhere), url);
  }
}

TEST(ProxyUrl, IsHttpWithAPort) {
  EXPECT_EQ(*CheckProxyUrl("http://proxy.internal:3128"),
            "http://proxy.internal:3128");
  EXPECT_EQ(*CheckProxyUrl("HTTP://Proxy:8080/"), "http://proxy:8080");
  EXPECT_EQ(*CheckProxyUrl("http://[2001:db8::1]:1"), "http://[2001:db8::1]:1");
  for (const char* url :
       {"", "proxy:3128", "https://proxy:3128", "socks5://proxy:1080",
        "http://proxy", "http://proxy:0", "http://proxy:x", "http://:3128",
        "http://proxy:3128/path", "http://proxy:3128?q",
        "http://user:secret@proxy:3128"}) {
    const absl::Status status = CheckProxyUrl(url).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  }
}

class RefusedHeapUrl : public ::testing::TestWithParam<const char*> {};

TEST_P(RefusedHeapUrl, IsRefusedUnderEitherPolicy) {
  EXPECT_EQ(Checked(GetParam()), "");
  EXPECT_EQ(Checked(GetParam(), PlaintextPolicy::kAnywhere), "");
}

INSTANTIATE_TEST_SUITE_P(
    Urls, RefusedHeapUrl,
    ::testing::Values(
        "", "heapanalytics.com", "//heapanalytics.com", "https:", "https://",
        "https:///", "ftp://heapanalytics.com", "file:///etc/passwd",
        "https://heapanalytics.com/api", "https://heapanalytics.com//",
        "https://heapanalytics.com?a=1", "https://heapanalytics.com/?",
        "https://heapanalytics.com#x", "https://me@heapanalytics.com",
        "https://me:secret@heapanalytics.com",
        "https://heapanalytics.com:", "https://heapanalytics.com:0",
        "https://heapanalytics.com:65536", "https://heapanalytics.com:+1",
        "https://heapanalytics.com:x", "https://heap analytics.com",
        " https://heapanalytics.com", "https://heapanalytics.com\n",
        "https://heapanalytics..com", "https://.com", "https://h\\e.com",
        "https://h%61.com", "https://[::1", "https://[]", "https://[::1]x",
        "https://[127.0.0.1]", "https://::1", "http://127.1",
        "http://0x7f.0.0.1", "http://0x7f000001", "http://2130706433",
        "http://0177.0.0.01", "http://127.0.0.1@evil.com"));

TEST(HeapUrl, IsNotRepeatedInTheError) {
  EXPECT_THAT(std::string(CheckHeapUrl("https://me:secret@heap.com",
                                       PlaintextPolicy::kLoopbackOnly)
                              .status()
                              .message()),
              Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace heapsync
