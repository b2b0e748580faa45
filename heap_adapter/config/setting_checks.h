#ifndef HEAPSYNC_HEAP_ADAPTER_CONFIG_SETTING_CHECKS_H_
#define HEAPSYNC_HEAP_ADAPTER_CONFIG_SETTING_CHECKS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/duration_text.h"

namespace heapsync {

// Whole numbers from `min` to `max`, both allowed.
struct NumberRange {
  uint32_t min;
  uint32_t max;

  // "1 to 1000".
  std::string Text() const { return absl::StrCat(min, " to ", max); }
};

// Values that the file and the flags accept. Heap's reference allows at most
// 1,000 items in a request; the other bounds catch typing errors.
inline constexpr NumberRange kBatchItemsRange{1, 1'000};
inline constexpr NumberRange kBatchBytesRange{1 << 10, 16 << 20};
inline constexpr DurationRange kBatchWaitRange{std::chrono::milliseconds(0),
                                               std::chrono::hours(1)};
// Of Destination::max_queued_mib; at most 16 TiB.
inline constexpr NumberRange kQueuedMibRange{1, 16 << 20};

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

#endif  // HEAPSYNC_HEAP_ADAPTER_CONFIG_SETTING_CHECKS_H_
