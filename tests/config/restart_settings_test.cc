#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/settings.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SettingsThatNeedRestartTest,
     AreNoneWhereOnlyDestinationsAndCallersChange) {
  ServerConfig running;
  running.access.emplace();
  running.tls.emplace();
  ServerConfig wanted = running;
  wanted.destinations.default_destination = "other";
  wanted.tls->private_key = "new";
  EXPECT_THAT(SettingsThatNeedRestart(running, wanted), IsEmpty());
}

TEST(SettingsThatNeedRestartTest, AreNamedAsTheirFlags) {
  const ServerConfig running;
  ServerConfig wanted;
  wanted.listen = "127.0.0.1:1";
  wanted.drain_timeout += std::chrono::seconds(1);
  wanted.port.max_calls += 1;
  wanted.heap_way.proxy_password = "new";
  wanted.heap_way.extra_roots = "new";
  wanted.tls.emplace();
  wanted.access.emplace();
  EXPECT_THAT(
      SettingsThatNeedRestart(running, wanted),
      ElementsAre("heap_proxy_credentials_file", "heap_ca", "drain_timeout",
                  "listen", "max_calls", "tls_cert", "auth"));
}

}  // namespace
}  // namespace heapsync
