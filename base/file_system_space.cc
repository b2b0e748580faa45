#include "base/file_system_space.h"

#include <sys/statvfs.h>

namespace heapsync {

std::optional<FileSystemSpace> ReadFileSystemSpace(const std::string& path) {
  struct statvfs space {};
  if (statvfs(path.c_str(), &space) != 0) return std::nullopt;
  return FileSystemSpace{
      .free_bytes = uint64_t{space.f_bavail} * space.f_frsize,
      .size_bytes = uint64_t{space.f_blocks} * space.f_frsize};
}

}  // namespace heapsync
