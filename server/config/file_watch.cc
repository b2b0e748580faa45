#include "server/config/file_watch.h"

#include <sys/stat.h>

namespace heapsync {

FileStamp StampOf(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return {};
  return {.inode = found.st_ino,
          .size = found.st_size,
          .modified_ns = int64_t{found.st_mtim.tv_sec} * 1'000'000'000 +
                         found.st_mtim.tv_nsec};
}

bool FileWatch::Changed() {
  bool changed = false;
  for (WatchedFile& file : files_) {
    const FileStamp now = StampOf(file.path);
    if (now == file.stamp) continue;
    file.stamp = now;
    changed = true;
  }
  return changed;
}

}  // namespace heapsync
