#ifndef HEAPSYNC_TESTS_FUZZ_TEXT_TARGETS_H_
#define HEAPSYNC_TESTS_FUZZ_TEXT_TARGETS_H_

#include "absl/strings/string_view.h"

// Each takes arbitrary bytes and aborts if a promise of a reader of foreign
// text is broken.
namespace heapsync {

// A Retry-After header: a wait within its bounds, and seconds are seconds.
void FuzzRetryAfter(absl::string_view input);

// The text of a 400: whoever is blamed was sent, and is named in it.
void FuzzNamedItem(absl::string_view input);

// A configuration file: what is taken is usable, what is refused is explained
// without an App ID.
void FuzzConfig(absl::string_view input);

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_FUZZ_TEXT_TARGETS_H_
