#ifndef HEAPSYNC_TESTS_CLIENT_TEMPORARY_FOLDER_H_
#define HEAPSYNC_TESTS_CLIENT_TEMPORARY_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/string_view.h"

namespace heapsync {

// A folder of this test's own, removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "heapsync-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string File(absl::string_view name) const {
    return path_ + "/" + std::string(name);
  }

  std::string Write(absl::string_view name, absl::string_view text) const {
    std::ofstream(File(name), std::ios::binary) << text;
    return File(name);
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_CLIENT_TEMPORARY_FOLDER_H_
