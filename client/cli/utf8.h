#ifndef HEAPSYNC_CLIENT_CLI_UTF8_H_
#define HEAPSYNC_CLIENT_CLI_UTF8_H_

#include "absl/strings/string_view.h"

namespace heapsync {

// Whether `text` is well-formed UTF-8 (Unicode table 3-7: no surrogates, no
// overlong forms, nothing above U+10FFFF).
bool IsValidUtf8(absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_UTF8_H_
