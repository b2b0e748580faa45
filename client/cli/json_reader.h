#ifndef HEAPSYNC_CLIENT_CLI_JSON_READER_H_
#define HEAPSYNC_CLIENT_CLI_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "client/cli/json_structure.h"
#include "client/cli/row.h"

namespace heapsync {

// Splits JSON text into objects, from pieces of any size: one object a line
// (NDJSON), a sequence of objects with any white space or record separators
// (RFC 7464) between them or none, or one array of objects. Objects may span
// lines. A byte order mark is skipped.
//
// A line that is no JSON, or that was cut off, makes a row of its own, which
// the parser refuses, and so does an object longer than the limit. Where that
// could make a row of the inside of another object, the row's fault has the
// extent kRestOfInput, and it is the last row.
class JsonReader {
 public:
  // `max_row_bytes` bounds the memory: an object is held as a whole.
  explicit JsonReader(size_t max_row_bytes);

  // Adds text. REQUIRES: FinishInput() was not called.
  void Feed(absl::string_view text);

  // Says that no text follows.
  void FinishInput() { finished_ = true; }

  // The next row; null when more text is needed or, after FinishInput(), when
  // there are no more. The row is valid until the next call of any function.
  const Row* Next();

 private:
  enum class State {
    kBetween,       // rows
    kObject,        // or array, whose structure is followed
    kBehindObject,  // on its line
    kBrokenObject,  // to the end of its first line
    kLine           // that is no object
  };
  enum class Array { kUnknown, kNone, kOpen, kClosed };

  bool SkipByteOrderMark();
  // These scan as far as the text goes; true: a row is ready in row_, or the
  // state has changed. False: more text is needed, or none follows.
  bool ScanBetween();
  bool ScanObject();
  bool ScanBehindObject();
  bool ScanBrokenObject();
  bool ScanLine();
  bool Malformed();
  bool EndOfInputInObject();

  void Begin(State state);
  void Advance();
  bool TakeRow(size_t end);
  bool TakeFirstLine();
  bool Stop(absl::string_view what);
  bool AtEnd() const { return position_ == buffer_.size(); }

  const size_t max_row_bytes_;
  std::string buffer_;
  size_t start_ = 0;     // of the row in buffer_
  size_t position_ = 0;  // of the next byte to scan
  uint64_t line_ = 1;    // of the position
  bool at_beginning_ = true;
  bool finished_ = false;
  bool stopped_ = false;
  Array array_ = Array::kUnknown;
  bool separated_ = true;  // a comma was seen since the last element

  // The row that is being scanned.
  State state_ = State::kBetween;
  JsonStructure structure_;
  uint64_t row_line_ = 1;
  size_t row_bytes_ = 0;
  size_t object_end_ = 0;      // relative to start_
  size_t first_line_end_ = 0;  // relative to start_; 0: not seen yet
  bool line_blank_ = true;     // so far
  std::string beginning_;      // of a row that is too long

  bool row_ready_ = false;
  std::string row_beginning_;
  Row row_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_JSON_READER_H_
