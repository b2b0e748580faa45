#include "client/cli/synced_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

absl::Status LastError(absl::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action, " ", path));
}

absl::Status WriteSynced(const std::string& path, absl::string_view text) {
  // A crash may have left the file behind, or somebody a link to another file,
  // which must not be followed.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return LastError("replace", path);
  }
  // Only for its owner: fixed values may name people.
  const int file = ::open(
      path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return LastError("write", path);
  absl::Status status;
  while (status.ok() && !text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno != EINTR) status = LastError("write", path);
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
  }
  if (status.ok() && ::fsync(file) != 0) status = LastError("sync", path);
  ::close(file);
  return status;
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int file = ::open(directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return LastError("open", directory);
  const absl::Status status =
      ::fsync(file) == 0 ? absl::OkStatus() : LastError("sync", directory);
  ::close(file);
  return status;
}

}  // namespace

absl::Status ReplaceFile(const std::string& path, absl::string_view text) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  absl::Status status = WriteSynced(temporary, text);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = LastError("replace", path);
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncDirectoryOf(path);
}

}  // namespace heapsync
