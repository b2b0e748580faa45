#include "client/cli/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

// True if `path` still names the open file, which its former owner may have
// removed before it was locked here.
bool Names(const std::string& path, int file) {
  struct stat named {};
  struct stat open {};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(file, &open) == 0 &&
         named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

}  // namespace

absl::StatusOr<RunLock> RunLock::Acquire(const std::string& path) {
  const std::string lock_path = absl::StrCat(path, ".lock");
  while (true) {
    const int file = ::open(lock_path.c_str(),
                            O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) {
      return absl::ErrnoToStatus(errno,
                                 absl::StrCat("cannot open ", lock_path));
    }
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(file);
      if (error == EINTR) continue;
      if (error != EWOULDBLOCK) {
        return absl::ErrnoToStatus(error,
                                   absl::StrCat("cannot lock ", lock_path));
      }
      return absl::FailedPreconditionError(absl::StrCat(
          "another import with --state=", path,
          " is still running; this one would send its rows a second time"));
    }
    if (Names(lock_path, file)) return RunLock(lock_path, file);
    ::close(file);
  }
}

RunLock::~RunLock() {
  if (file_ < 0) return;
  // Before it is unlocked, or it could be that of the next one.
  ::unlink(lock_path_.c_str());
  ::close(file_);
}

RunLock::RunLock(RunLock&& other) noexcept
    : lock_path_(std::move(other.lock_path_)),
      file_(std::exchange(other.file_, -1)) {}

}  // namespace heapsync
