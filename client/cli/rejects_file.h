#ifndef HEAPSYNC_CLIENT_CLI_REJECTS_FILE_H_
#define HEAPSYNC_CLIENT_CLI_REJECTS_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heapsync/client/status_details.h"

namespace heapsync {

// One rejected row.
struct RejectedRow {
  uint64_t row;   // from 1, without the header
  uint64_t line;  // from 1
  std::vector<Violation> violations;
  std::string raw;  // the text of the row, any bytes
};

// The row as a line of JSON, without a line break: {"row", "line",
// "violations": [{"field", "reason", "description"}], "raw"}. Where the text is
// not UTF-8, its bad bytes become U+FFFD and "raw_base64" has them all.
std::string ToJsonLine(const RejectedRow& row);

// Length of the lines in the file that have their line break; 0 if it cannot be
// read.
uint64_t CompleteLines(const std::string& path);

// The file of rejected rows. Created readable by its owner only: it holds what
// the input held. One thread at a time.
class RejectsFile {
 public:
  // Keeps the first `keep_bytes` of the file and drops the rest, so that a
  // resumed import repeats no row. An empty path: no file, rows vanish. Errors:
  // kDataLoss if the file is shorter than that, else why it cannot be written.
  // REQUIRES: the file is not one that the import reads.
  static absl::StatusOr<RejectsFile> Open(const std::string& path,
                                          uint64_t keep_bytes);

  ~RejectsFile();
  RejectsFile(RejectsFile&& other) noexcept;
  RejectsFile& operator=(RejectsFile&&) = delete;

  absl::Status Write(const RejectedRow& row);

  // Makes everything written so far survive a crash.
  absl::Status Sync();

  // Length of the file with everything written so far.
  uint64_t bytes() const { return bytes_; }

 private:
  RejectsFile(std::string path, int descriptor, uint64_t bytes);
  absl::Status Flush();

  std::string path_;
  int descriptor_;
  uint64_t bytes_;
  std::string buffer_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_REJECTS_FILE_H_
