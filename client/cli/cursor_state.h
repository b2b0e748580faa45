#ifndef HEAPSYNC_CLIENT_CLI_CURSOR_STATE_H_
#define HEAPSYNC_CLIENT_CLI_CURSOR_STATE_H_

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/run_lock.h"

namespace heapsync {

// How far an incremental import has come.
struct CursorState {
  // All rows with this value of the cursor column or a lower one are settled.
  std::string value;
  // Everything that decides what a row becomes, by flag name.
  std::map<std::string, std::string> options;

  friend bool operator==(const CursorState&, const CursorState&) = default;
};

// Empty if there is no such file. Errors: kDataLoss for a file that holds
// something else, else why it cannot be read.
absl::StatusOr<std::optional<CursorState>> ReadCursorState(
    const std::string& path);

// The file that keeps a CursorState from one run of an incremental import to
// the next, and keeps a second run from beginning before the first one has
// ended: it could send older versions of rows behind newer ones. One thread at
// a time.
class CursorFile {
 public:
  // Errors: those of RunLock, kDataLoss for a file that holds something else,
  // else why it cannot be used.
  static absl::StatusOr<CursorFile> Open(const std::string& path);

  // What the file held when it was opened or was given since; null if there
  // was none.
  const std::optional<CursorState>& state() const { return state_; }

  // Replaces the file atomically and syncs it, unless it holds just that.
  absl::Status Save(const CursorState& state);

 private:
  CursorFile(std::string path, RunLock lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  RunLock lock_;
  std::optional<CursorState> state_;
};

// OK if the options are those of the state. Errors: kFailedPrecondition, naming
// each that differs.
absl::Status CheckSameOptions(const CursorState& saved,
                              const std::map<std::string, std::string>& now);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_CURSOR_STATE_H_
