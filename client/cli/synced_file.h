#ifndef HEAPSYNC_CLIENT_CLI_SYNCED_FILE_H_
#define HEAPSYNC_CLIENT_CLI_SYNCED_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Replaces the file atomically and syncs it: after a crash it holds the old
// text or the new one. The new text is first written to a new file `path`.tmp,
// mode 0600; a link of that name is not followed.
absl::Status ReplaceFile(const std::string& path, absl::string_view text);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_SYNCED_FILE_H_
