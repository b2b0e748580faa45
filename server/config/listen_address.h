#ifndef HEAPSYNC_SERVER_CONFIG_LISTEN_ADDRESS_H_
#define HEAPSYNC_SERVER_CONFIG_LISTEN_ADDRESS_H_

#include "absl/strings/string_view.h"

namespace heapsync {

// True if the text is "host:port": the host a name, an IPv4 address, or an IPv6
// address in brackets. Port 0 lets the system choose one.
bool IsListenAddress(absl::string_view address);

// True if only this machine can reach the address. REQUIRES:
// IsListenAddress(address).
bool IsLoopbackAddress(absl::string_view address);

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_LISTEN_ADDRESS_H_
