#ifndef HEAPSYNC_CLIENT_CLI_NDJSON_READER_H_
#define HEAPSYNC_CLIENT_CLI_NDJSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/row.h"

namespace heapsync {

// Splits newline-delimited JSON into lines, from pieces of any size. Lines end
// with LF or CRLF; a byte order mark and blank lines are skipped. A line longer
// than the limit makes a row with a fault. The JSON itself is not looked at.
class NdjsonReader {
 public:
  // `max_row_bytes` bounds the memory: a line is held as a whole.
  explicit NdjsonReader(size_t max_row_bytes);

  // Adds text. REQUIRES: FinishInput() was not called.
  void Feed(absl::string_view text);

  // Says that no text follows.
  void FinishInput() { finished_ = true; }

  // The next row; null when more text is needed or, after FinishInput(), when
  // there are no more. The row is valid until the next call of any function.
  const Row* Next();

 private:
  const size_t max_row_bytes_;
  std::string buffer_;
  size_t start_ = 0;    // of the next line in buffer_
  size_t scanned_ = 0;  // no line break stands between start_ and here
  uint64_t line_ = 0;
  bool finished_ = false;
  bool discarding_ = false;  // to the end of the line
  Row row_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_NDJSON_READER_H_
