#ifndef HEAPSYNC_CLIENT_CLI_RUN_LOCK_H_
#define HEAPSYNC_CLIENT_CLI_RUN_LOCK_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace heapsync {

// Keeps a second import from running with the same state file, from its
// beginning to its end: it would send rows a second time. The end of the
// process frees it in any case. One thread at a time.
class RunLock {
 public:
  // Locks the file `path`.lock, which exists meanwhile and may be left behind
  // by a process that was killed. Errors: kFailedPrecondition while another
  // process has it, else why it cannot be used.
  static absl::StatusOr<RunLock> Acquire(const std::string& path);

  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;

 private:
  RunLock(std::string lock_path, int file)
      : lock_path_(std::move(lock_path)), file_(file) {}

  std::string lock_path_;
  int file_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_RUN_LOCK_H_
