#include "heap_adapter/config/setting_checks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

struct Authority {
  std::string host;  // lowercase; IPv6 in brackets
  absl::string_view port;
};

bool IsPort(absl::string_view text) {
  uint32_t port = 0;
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, &port) && port > 0 && port <= 65'535;
}

bool IsHostName(absl::string_view host) {
  constexpr size_t kMaxName = 253;
  constexpr size_t kMaxLabel = 63;
  if (host.size() > kMaxName) return false;
  for (const absl::string_view label : absl::StrSplit(host, '.')) {
    if (label.empty() || label.size() > kMaxLabel ||
        !std::all_of(label.begin(), label.end(), [](char c) {
          return absl::ascii_isalnum(c) || c == '-' || c == '_';
        })) {
      return false;
    }
  }
  return true;
}

// A last label that is a number means an address: libcurl reads "127.1",
// "0x7f.1" and "2130706433" as addresses, so only the plain form is let
// through.
bool LooksLikeIpv4(absl::string_view host) {
  const absl::string_view last = host.substr(host.rfind('.') + 1);
  return std::all_of(last.begin(), last.end(), absl::ascii_isdigit) ||
         absl::StartsWith(last, "0x");
}

bool IsIpv4(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool IsIpv6(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

absl::StatusOr<Authority> ParseAuthority(absl::string_view text) {
  const size_t bracket = text.find(']');
  const size_t colon = absl::StartsWith(text, "[")
                           ? text.find(':', std::min(bracket, text.size()))
                           : text.find(':');
  Authority authority{absl::AsciiStrToLower(text.substr(0, colon)), {}};
  if (colon != absl::string_view::npos) {
    authority.port = text.substr(colon + 1);
    if (!IsPort(authority.port)) {
      return absl::InvalidArgumentError("the port is a number from 1 to 65535");
    }
  }
  const std::string& host = authority.host;
  const bool good =
      absl::StartsWith(host, "[")
          ? absl::EndsWith(host, "]") && IsIpv6(host.substr(1, host.size() - 2))
          : IsHostName(host) && (!LooksLikeIpv4(host) || IsIpv4(host));
  if (!good) {
    return absl::InvalidArgumentError(
        "after the scheme comes a host name, an IPv4 address, or an IPv6 "
        "address in brackets");
  }
  return authority;
}

}  // namespace

bool IsLoopbackHost(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6{};
  return host.size() > 2 && host.front() == '[' &&
         inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) ==
             1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::StatusOr<std::string> CheckHeapUrl(absl::string_view url,
                                         PlaintextPolicy plaintext) {
  const size_t separator = url.find("://");
  const std::string scheme =
      separator == absl::string_view::npos
          ? ""
          : absl::AsciiStrToLower(url.substr(0, separator));
  if (scheme != "https" && scheme != "http") {
    return absl::InvalidArgumentError(
        "must start with https:// (or http:// for a local simulator)");
  }
  absl::string_view rest = url.substr(separator + 3);
  if (absl::StrContains(rest, "@")) {
    return absl::InvalidArgumentError(
        "must not contain a user name: Heap asks for none");
  }
  if (rest.find_first_of("?#") != absl::string_view::npos) {
    return absl::InvalidArgumentError("must not contain a query or fragment");
  }
  rest = absl::StripSuffix(rest, "/");
  if (absl::StrContains(rest, "/")) {
    return absl::InvalidArgumentError(
        "must end after the host: the paths of Heap's API are appended");
  }
  const absl::StatusOr<Authority> authority = ParseAuthority(rest);
  if (!authority.ok()) return authority.status();
  if (scheme == "http" && plaintext == PlaintextPolicy::kLoopbackOnly &&
      !IsLoopbackHost(authority->host)) {
    return absl::InvalidArgumentError(
        "must be https: plain http would show App IDs and identities to the "
        "network, so it is allowed to this machine only unless "
        "--allow_plaintext_heap is given");
  }
  return authority->port.empty() ? absl::StrCat(scheme, "://", authority->host)
                                 : absl::StrCat(scheme, "://", authority->host,
                                                ":", authority->port);
}

absl::StatusOr<std::string> CheckProxyUrl(absl::string_view url) {
  constexpr absl::string_view kScheme = "http://";
  if (!absl::StartsWithIgnoreCase(url, kScheme)) {
    return absl::InvalidArgumentError(
        "must be http://host:port: other kinds of proxies are not supported");
  }
  absl::string_view rest = url.substr(kScheme.size());
  if (absl::StrContains(rest, "@")) {
    return absl::InvalidArgumentError(
        "must not contain credentials: everybody on the machine can see them; "
        "give --heap_proxy_credentials_file");
  }
  rest = absl::StripSuffix(rest, "/");
  if (rest.find_first_of("/?#") != absl::string_view::npos) {
    return absl::InvalidArgumentError("must end after the port");
  }
  const absl::StatusOr<Authority> authority = ParseAuthority(rest);
  if (!authority.ok()) return authority.status();
  if (authority->port.empty()) {
    return absl::InvalidArgumentError(
        "must name the port, as in http://host:3128");
  }
  return absl::StrCat(kScheme, authority->host, ":", authority->port);
}

}  // namespace heapsync
