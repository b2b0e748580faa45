#include "client/cli/rejects_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/cli/utf8.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;

absl::Status LastError(absl::string_view action, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", action, " ", path));
}

}  // namespace

std::string ToJsonLine(const RejectedRow& row) {
  using nlohmann::ordered_json;
  ordered_json violations = ordered_json::array();
  for (const Violation& violation : row.violations) {
    violations.push_back({{"field", violation.field},
                          {"reason", violation.reason},
                          {"description", violation.description}});
  }
  ordered_json line = {{"row", row.row},
                       {"line", row.line},
                       {"violations", std::move(violations)},
                       {"raw", row.raw}};
  if (!IsValidUtf8(row.raw)) line["raw_base64"] = absl::Base64Escape(row.raw);
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

RejectsFile::RejectsFile(std::string path, int descriptor, uint64_t bytes)
    : path_(std::move(path)), descriptor_(descriptor), bytes_(bytes) {}

uint64_t CompleteLines(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> buffer(64 * 1024);
  uint64_t read = 0;
  uint64_t complete = 0;
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())),
         file.gcount() > 0) {
    const absl::string_view text(buffer.data(),
                                 static_cast<size_t>(file.gcount()));
    const size_t line_break = text.rfind('\n');
    if (line_break != absl::string_view::npos) complete = read + line_break + 1;
    read += text.size();
  }
  return complete;
}

absl::StatusOr<RejectsFile> RejectsFile::Open(const std::string& path,
                                              uint64_t keep_bytes) {
  if (path.empty()) return RejectsFile(path, -1, 0);
  RejectsFile file(path,
                   ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600),
                   keep_bytes);
  if (file.descriptor_ < 0) return LastError("write", path);
  const off_t length = ::lseek(file.descriptor_, 0, SEEK_END);
  // A pipe has no length, and nothing to keep.
  if (length < 0) return file;
  if (static_cast<uint64_t>(length) < keep_bytes) {
    return absl::DataLossError(
        absl::StrCat(path, " is shorter than the interrupted import left it"));
  }
  if (::ftruncate(file.descriptor_, static_cast<off_t>(keep_bytes)) != 0 &&
      errno != EINVAL) {
    return LastError("shorten", path);
  }
  if (::lseek(file.descriptor_, static_cast<off_t>(keep_bytes), SEEK_SET) < 0) {
    return LastError("write", path);
  }
  return file;
}

RejectsFile::RejectsFile(RejectsFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      buffer_(std::move(other.buffer_)) {}

RejectsFile::~RejectsFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::Status RejectsFile::Write(const RejectedRow& row) {
  if (descriptor_ < 0) return absl::OkStatus();
  const size_t before = buffer_.size();
  absl::StrAppend(&buffer_, ToJsonLine(row), "\n");
  bytes_ += buffer_.size() - before;
  return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
}

absl::Status RejectsFile::Flush() {
  absl::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno != EINTR) return LastError("write", path_);
    if (count > 0) rest.remove_prefix(static_cast<size_t>(count));
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status RejectsFile::Sync() {
  if (descriptor_ < 0) return absl::OkStatus();
  if (absl::Status status = Flush(); !status.ok()) return status;
  // A pipe or terminal cannot be synced, and need not be.
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) {
    return LastError("sync", path_);
  }
  return absl::OkStatus();
}

}  // namespace heapsync
