#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_URL_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_URL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Destinations to which plain `http` is allowed. It carries App IDs and
// identities unencrypted.
enum class PlaintextPolicy {
  kLoopbackOnly,  // 127.0.0.0/8, [::1] and localhost
  kAnywhere,
};

// True if a host ("localhost", an IPv4 address, an IPv6 address in brackets)
// is certainly this machine. A name other than localhost is not.
bool IsLoopbackHost(const std::string& host);

// Checks a URL that stands for one of Heap's hosts: `https://` or, as far as
// `plaintext` allows, `http://`, a host name or address, and perhaps a port.
// A path beyond "/", a query, a fragment and a user name are refused, since
// Heap's paths are appended.
//
// Returns it with scheme and host in lowercase and without the slash at the
// end. Errors: kInvalidArgument, which does not repeat the URL.
absl::StatusOr<std::string> CheckHeapUrl(absl::string_view url,
                                         PlaintextPolicy plaintext);

// Checks the URL of an HTTP proxy: `http://`, a host name or address, and a
// port. Returns it normalized as CheckHeapUrl() does. Errors: kInvalidArgument,
// which does not repeat the URL, since it may hold a password.
absl::StatusOr<std::string> CheckProxyUrl(absl::string_view url);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_URL_H_
