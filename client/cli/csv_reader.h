#ifndef HEAPSYNC_CLIENT_CLI_CSV_READER_H_
#define HEAPSYNC_CLIENT_CLI_CSV_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/row.h"

namespace heapsync {

// Splits CSV text (RFC 4180) into rows and cells, from pieces of any size: the
// rows do not depend on where the pieces are cut.
//
// Rows end with LF, CRLF or CR; cells may be quoted and then hold delimiters,
// line breaks and doubled quotes; a byte order mark is skipped, and so are
// empty lines. The header, if there is one, is a row like any other.
//
// A quote where none may be, or one that is never closed, or a row longer than
// the limit makes a row with a fault: everything up to the end of the line on
// which the faulty cell begins. Reading goes on with the next line, so that a
// forgotten quote costs its own line and not the rest of the file.
class CsvReader {
 public:
  // `max_row_bytes` bounds the memory: a row is held as a whole.
  CsvReader(char delimiter, size_t max_row_bytes);

  // Adds text. REQUIRES: FinishInput() was not called.
  void Feed(absl::string_view text);

  // Says that no text follows.
  void FinishInput() { finished_ = true; }

  // The next row; null when more text is needed or, after FinishInput(), when
  // there are no more. The row is valid until the next call of any function.
  const Row* Next();

 private:
  enum class Scan { kRow, kFault, kNeedsMore };

  bool SkipDiscarded();
  bool SkipByteOrderMark();
  Scan ScanRow(absl::string_view text, bool complete);
  Scan ScanQuotedCell(absl::string_view text, bool complete, size_t& position);
  void EndCell(bool unescaped, size_t begin, size_t end);
  Scan Fail(absl::string_view reason, std::string description);
  const Row* TakeRow();
  const Row* TakeFault(absl::string_view text, bool complete);
  void Consume(size_t bytes);

  struct Cell {
    bool unescaped;  // in unescaped_, else in the row's text
    size_t begin;
    size_t end;
  };

  const char delimiter_;
  const size_t max_row_bytes_;
  std::string buffer_;
  size_t start_ = 0;  // of the next row in buffer_
  uint64_t line_ = 1;
  bool at_beginning_ = true;
  bool finished_ = false;
  bool discarding_ = false;  // to the end of the line
  bool after_cr_ = false;    // an LF that follows belongs to the last line

  // The row that is being scanned.
  std::vector<Cell> cells_;
  std::string unescaped_;
  size_t row_end_ = 0;     // without the line break
  size_t row_bytes_ = 0;   // with it
  size_t cell_begin_ = 0;  // of the cell where a fault was found
  RowFault fault_;
  Row row_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_CSV_READER_H_
