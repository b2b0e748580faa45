#include "server/net/peer_name.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>

#include <string>

namespace heapsync {
namespace {

std::string NameOfV6(const char* address, in_port_t port) {
  sockaddr_storage storage{};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  EXPECT_EQ(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
  return PeerName(storage);
}

TEST(PeerNameTest, AConnectionHasTheNameThatGrpcGivesToItsCalls) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(1234);
  ASSERT_EQ(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
  EXPECT_EQ(PeerName(storage), "192.0.2.1:1234");
  EXPECT_EQ(PeerName("ipv4:192.0.2.1:1234"), "192.0.2.1:1234");

  EXPECT_EQ(NameOfV6("2001:db8::1", 1234), "2001:db8::1:1234");
  EXPECT_EQ(PeerName("ipv6:%5B2001:db8::1%5D:1234"), "2001:db8::1:1234");
  EXPECT_EQ(PeerName("ipv6:[2001:db8::1]:1234"), "2001:db8::1:1234");
}

TEST(PeerNameTest, Ipv4InIpv6IsIpv4) {
  EXPECT_EQ(NameOfV6("::ffff:192.0.2.1", 1234), "192.0.2.1:1234");
}

TEST(PeerNameTest, TheScopeOfAnAddressIsLeftOut) {
  EXPECT_EQ(PeerName("ipv6:%5Bfe80::1%25eth0%5D:1234"), "fe80::1:1234");
  EXPECT_EQ(NameOfV6("fe80::1", 1234), "fe80::1:1234");
}

TEST(PeerNameTest, TheNetworkOfAClientIsWhatItMayHaveManyAddressesOf) {
  EXPECT_EQ(NetworkOf("192.0.2.1:1234"), "192.0.2.1");
  EXPECT_EQ(NetworkOf("2001:db8:1:2:3:4:5:6:1234"), "2001:db8:1:2::/64");
  EXPECT_EQ(NetworkOf("2001:db8:1:2::1:99"), "2001:db8:1:2::/64");
  EXPECT_EQ(NetworkOf("::1:1234"), "::/64");
  EXPECT_EQ(NetworkOf(""), "");
}

TEST(PeerNameTest, OtherFamiliesHaveNoName) {
  EXPECT_EQ(PeerName("unix:/tmp/socket"), "");
  EXPECT_EQ(PeerName(sockaddr_storage{}), "");
}

}  // namespace
}  // namespace heapsync
