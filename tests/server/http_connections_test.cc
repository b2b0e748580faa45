#include "server/observe/http_connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Stage = HttpConnections::Stage;

constexpr MonotonicTime kStart(seconds(1'000));
constexpr HttpLimits kThree{.max_connections = 3,
                            .max_waiting_pages = 2,
                            .request_timeout = seconds(3),
                            .connection_timeout = seconds(15)};

std::string NetworkOf(const char* address) {
  sockaddr_in6 ipv6{.sin6_family = AF_INET6};
  if (inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1) {
    return ClientNetwork(reinterpret_cast<const sockaddr&>(ipv6));
  }
  sockaddr_in ipv4{.sin_family = AF_INET};
  inet_pton(AF_INET, address, &ipv4.sin_addr);
  return ClientNetwork(reinterpret_cast<const sockaddr&>(ipv4));
}

TEST(ClientNetworkTest, IsAnIpv4AddressOrSixtyFourBitsOfAnIpv6Address) {
  EXPECT_EQ(NetworkOf("10.1.2.3"), NetworkOf("::ffff:10.1.2.3"));
  EXPECT_NE(NetworkOf("10.1.2.3"), NetworkOf("10.1.2.4"));
  EXPECT_EQ(NetworkOf("2001:db8:0:1::1"), NetworkOf("2001:db8:0:1:ffff::2"));
  EXPECT_NE(NetworkOf("2001:db8:0:1::1"), NetworkOf("2001:db8:0:2::1"));
}

TEST(HttpConnectionsTest, UpToTheMaximumNoneGivesWay) {
  HttpConnections connections(kThree);
  for (int socket = 1; socket <= 3; ++socket) {
    connections.Opened(socket, "a", kStart);
  }
  EXPECT_EQ(connections.GivesWay(), std::nullopt);
}

TEST(HttpConnectionsTest, TheOldestSilentOneGivesWayBeforeOneThatIsAnswered) {
  HttpConnections connections(kThree);
  for (int socket = 1; socket <= 4; ++socket) {
    connections.Opened(socket, "a", kStart);
  }
  connections.Enter(1, Stage::kWriting);
  EXPECT_EQ(connections.GivesWay(), 2);
}

TEST(HttpConnectionsTest, TheOldestUnreadResponseGivesWayIfNoneIsSilent) {
  HttpConnections connections(kThree);
  for (int socket = 1; socket <= 4; ++socket) {
    connections.Opened(socket, "a", kStart);
    connections.Enter(socket, Stage::kWriting);
  }
  EXPECT_EQ(connections.GivesWay(), 1);
}

TEST(HttpConnectionsTest, ANewClientIsNotTheOneThatUnreadResponsesDisplace) {
  HttpConnections connections(kThree);
  for (int socket = 1; socket <= 3; ++socket) {
    connections.Opened(socket, "a", kStart);
    connections.Enter(socket, Stage::kWriting);
  }
  connections.Opened(4, "a", kStart);
  EXPECT_EQ(connections.GivesWay(), 1);
}

TEST(HttpConnectionsTest, AClientWithManyConnectionsDisplacesItsOwn) {
  HttpConnections connections(kThree);
  connections.Opened(1, "probe", kStart);
  connections.Opened(2, "a", kStart);
  connections.Opened(3, "a", kStart);
  connections.Opened(4, "other", kStart);
  EXPECT_EQ(connections.GivesWay(), 2);
  // One of each kind: the number of both counts.
  connections.Enter(2, Stage::kWriting);
  EXPECT_EQ(connections.GivesWay(), 2);
}

TEST(HttpConnectionsTest, OneThatGaveWayNoLongerCounts) {
  HttpConnections connections(kThree);
  for (int socket = 1; socket <= 4; ++socket) {
    connections.Opened(socket, "a", kStart);
  }
  connections.Enter(1, Stage::kEnding);
  EXPECT_EQ(connections.GivesWay(), std::nullopt);
  EXPECT_FALSE(connections.empty());
}

TEST(HttpConnectionsTest, WithAPageBeingMadeForEachThereIsNoSpace) {
  HttpConnections connections(kThree);
  for (int socket = 1; socket <= 3; ++socket) {
    connections.Opened(socket, "a", kStart);
    EXPECT_TRUE(connections.HasSpace());
    connections.Enter(socket, Stage::kWaitingForPage);
  }
  EXPECT_FALSE(connections.HasSpace());
  connections.Closed(2);
  EXPECT_TRUE(connections.HasSpace());
}

TEST(HttpConnectionsTest, ANetworkWaitsForSoManyPagesAndOthersForTheirOwn) {
  HttpConnections connections(kThree);
  connections.Opened(1, "a", kStart);
  connections.Opened(2, "a", kStart);
  connections.Opened(3, "a", kStart);
  connections.Opened(4, "b", kStart);
  connections.Enter(1, Stage::kWaitingForPage);
  EXPECT_TRUE(connections.MayWaitForPage(2));
  connections.Enter(2, Stage::kWaitingForPage);
  EXPECT_FALSE(connections.MayWaitForPage(3));
  EXPECT_TRUE(connections.MayWaitForPage(4));
}

TEST(HttpConnectionsTest, ARequestHasThreeSecondsAndAConnectionFifteen) {
  HttpConnections connections(kThree);
  connections.Opened(1, "a", kStart);
  connections.Opened(2, "a", kStart);
  connections.Opened(3, "a", kStart);
  connections.Enter(2, Stage::kWriting);
  connections.Enter(3, Stage::kWaitingForPage);
  EXPECT_EQ(connections.NextDeadline(), kStart + seconds(3));
  EXPECT_THAT(connections.Overdue(kStart + seconds(3) - Duration(1)),
              IsEmpty());
  EXPECT_THAT(connections.Overdue(kStart + seconds(3)), ElementsAre(1));
  EXPECT_THAT(connections.Overdue(kStart + seconds(15)), ElementsAre(1, 2));
}

}  // namespace
}  // namespace heapsync
