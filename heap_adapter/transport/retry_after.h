#ifndef HEAPSYNC_HEAP_ADAPTER_TRANSPORT_RETRY_AFTER_H_
#define HEAPSYNC_HEAP_ADAPTER_TRANSPORT_RETRY_AFTER_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace heapsync {

// Parses the value of a Retry-After header (RFC 9110, 10.2.3): either a number
// of seconds ("120"), which may be those since 1970 of a time within a day of
// `now`, or a date in one of the three forms of RFC 9110, 5.6.7. A fraction of
// a second ("1.5"), which the RFC does not know, counts as a whole one.
//
//   Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
//   Sunday, 06-Nov-94 08:49:37 GMT    RFC 850; a year more than 50 years ahead
//                                     is moved back by a century
//   Sun Nov  6 08:49:37 1994          asctime
//
// Returns the wait from `now`: above zero and at most `max_wait`. Returns
// nullopt where nothing is left to wait for (zero seconds, a date that has
// passed, a `max_wait` of zero) and for anything else (signs, exponents, units,
// impossible dates). The day of the week is not checked against the date. Pure.
std::optional<Duration> ParseRetryAfter(absl::string_view text, WallTime now,
                                        Duration max_wait);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_TRANSPORT_RETRY_AFTER_H_
