#include "server/net/peer_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

constexpr size_t kNetworkBytes = 8;

template <typename Address>
std::string Text(int family, const Address& address, in_port_t port) {
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(family, &address, text, sizeof(text)) == nullptr) return "";
  return absl::StrCat(text, ":", ntohs(port));
}

}  // namespace

std::string PeerName(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return Text(AF_INET, v4.sin_addr, v4.sin_port);
  }
  if (address.ss_family != AF_INET6) return "";
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    in_addr v4{};
    std::memcpy(&v4, v6.sin6_addr.s6_addr + 12, sizeof(v4));
    return Text(AF_INET, v4, v6.sin6_port);
  }
  return Text(AF_INET6, v6.sin6_addr, v6.sin6_port);
}

std::string PeerName(absl::string_view grpc_peer) {
  if (absl::ConsumePrefix(&grpc_peer, "ipv4:")) return std::string(grpc_peer);
  if (!absl::ConsumePrefix(&grpc_peer, "ipv6:")) return "";
  const std::string plain = absl::StrReplaceAll(
      grpc_peer, {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
  const size_t scope = plain.find('%');
  if (scope == std::string::npos) return plain;
  return absl::StrCat(plain.substr(0, scope), plain.substr(plain.rfind(':')));
}

std::string NetworkOf(absl::string_view peer_name) {
  const std::string address(peer_name.substr(0, peer_name.rfind(':')));
  in6_addr v6{};
  if (inet_pton(AF_INET6, address.c_str(), &v6) != 1) return address;
  std::memset(v6.s6_addr + kNetworkBytes, 0, sizeof(v6) - kNetworkBytes);
  char text[INET6_ADDRSTRLEN];
  return absl::StrCat(inet_ntop(AF_INET6, &v6, text, sizeof(text)), "/64");
}

}  // namespace heapsync
