#ifndef HEAPSYNC_BASE_FILE_SYSTEM_SPACE_H_
#define HEAPSYNC_BASE_FILE_SYSTEM_SPACE_H_

#include <cstdint>
#include <optional>
#include <string>

namespace heapsync {

// The space of a file system.
struct FileSystemSpace {
  uint64_t free_bytes = 0;  // for processes that are not root
  uint64_t size_bytes = 0;
};

// The space of the file system that `path` is on; none if the system does not
// tell. Any thread.
std::optional<FileSystemSpace> ReadFileSystemSpace(const std::string& path);

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_FILE_SYSTEM_SPACE_H_
