#ifndef HEAPSYNC_SERVER_CONFIG_FILE_WATCH_H_
#define HEAPSYNC_SERVER_CONFIG_FILE_WATCH_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace heapsync {

// Changes whenever a file is written or exchanged. All zero for a file that is
// not there.
struct FileStamp {
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified_ns = 0;
  bool operator==(const FileStamp&) const = default;
};

// The stamp of the file at `path`, or of that behind a symbolic link, so that
// mounted secrets work.
FileStamp StampOf(const std::string& path);

// A file and its stamp from before it was read.
struct WatchedFile {
  std::string path;
  FileStamp stamp;
};

// Tells when one of some files changed. Not thread-safe.
class FileWatch {
 public:
  explicit FileWatch(std::vector<WatchedFile> files)
      : files_(std::move(files)) {}

  // True if a file's stamp is no longer that of the last call, or at the first
  // call that of `files`. To be called before the files are read, so that a
  // change during the reading is noticed by the next call.
  bool Changed();

 private:
  std::vector<WatchedFile> files_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_CONFIG_FILE_WATCH_H_
