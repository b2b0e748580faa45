#ifndef HEAPSYNC_CLIENT_CLI_CSV_READER_H_
#define HEAPSYNC_CLIENT_CLI_CSV_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/row.h"

namespace heapsync {

// The way in which a CSV file writes a quote inside a quoted cell.
enum class CsvEscape {
  kUnstated,   // doubled, as RFC 4180 says; a backslash that could make a
               // difference ends the input
  kDoubled,    // doubled; backslashes are text
  kBackslash,  // \", as MySQL writes it; a backslash also takes the meaning
               // from a delimiter, a line break and a backslash
  kSpark,      // the same within quotes; elsewhere a backslash is text
};

// The meaning of quotes.
enum class CsvQuoting { kQuotes, kNone };

struct CsvDialect {
  char delimiter = ',';
  CsvEscape escape = CsvEscape::kUnstated;
  CsvQuoting quoting = CsvQuoting::kQuotes;
};

// Splits CSV text (RFC 4180) into rows and cells, from pieces of any size: the
// rows do not depend on where the pieces are cut.
//
// Rows end with LF or CRLF, or with CR if the first one does; cells may be
// quoted and then hold delimiters, line breaks and escaped quotes. A byte order
// mark is skipped, and so are empty lines and rows of delimiters and blanks
// only. The header, if there is one, is a row like any other.
//
// Where backslashes escape and there are no quotes, \n, \t, \r, \b, \f and \v
// stand for control characters, as in the text that PostgreSQL and MySQL print.
//
// A row is never made of what may be the inside of a cell. Text that can be
// read in two ways, which differ in where a cell ends, makes a row whose fault
// has the extent kRestOfInput, and it is the last row: a closing quote that is
// followed by text, a backslash before what would end a quoted cell or a row, a
// quote behind white space, a quote that is never closed. A quote within the
// text of a plain cell costs its row only if no reading has it open at the end
// of the line. So does a row longer than the limit, whose end is still found.
class CsvReader {
 public:
  // `max_row_bytes` bounds the memory: a row is held as a whole.
  CsvReader(const CsvDialect& dialect, size_t max_row_bytes);

  // Adds text. REQUIRES: FinishInput() was not called.
  void Feed(absl::string_view text);

  // Says that no text follows.
  void FinishInput() { finished_ = true; }

  // The next row; null when more text is needed or, after FinishInput(), when
  // there are no more. The row is valid until the next call of any function.
  const Row* Next();

 private:
  enum class State { kCellStart, kPlain, kQuoted, kClosed };
  enum class Scan { kGoOn, kRowEnd, kFault, kNeedsMore };
  enum class RowEnds { kUnknown, kLineFeed, kCarriageReturn };

  bool SkipByteOrderMark();
  Scan Step();
  Scan PlainStep(char byte);
  Scan StrayQuote();
  Scan LineEnd();
  Scan QuotedStep();
  Scan ClosingQuote();
  bool EscapesInQuotes() const {
    return dialect_.escape == CsvEscape::kBackslash ||
           dialect_.escape == CsvEscape::kSpark;
  }
  Scan EscapeStep();
  // The byte at this distance from the position: empty at the end of the
  // input. REQUIRES: Knows(distance).
  std::optional<char> ByteAt(size_t distance) const;
  // True if the byte at this distance is there, or the end of the input is.
  bool Knows(size_t distance) const;
  bool EndsCell(std::optional<char> byte) const;
  Scan EndRow(size_t line_break_bytes);
  void Take(size_t bytes, absl::string_view text);
  void TrackLine(absl::string_view text);
  void EndCell();
  void BeginRow();
  void DropTextBeyondLimit();
  Scan Fail(absl::string_view reason, std::string description);
  const Row* TakeRow();
  const Row* TakeFault();

  const CsvDialect dialect_;
  const size_t max_row_bytes_;
  std::string buffer_;
  size_t start_ = 0;     // of the row in buffer_
  size_t position_ = 0;  // of the next byte to scan
  uint64_t line_ = 1;    // of the position
  bool at_beginning_ = true;
  bool finished_ = false;
  bool stopped_ = false;
  RowEnds row_ends_ = RowEnds::kUnknown;

  // The row that is being scanned.
  State state_ = State::kCellStart;
  uint64_t row_line_ = 1;
  size_t row_bytes_ = 0;  // so far, without the line break
  bool only_delimiters_ = true;
  bool too_long_ = false;
  bool after_cr_ = false;         // the last byte was a CR
  bool doubled_seen_ = false;     // in this cell: backslashes cannot be escapes
  bool after_backslash_ = false;  // an odd number of them before the position
  bool blank_cell_ = true;        // nothing but white space so far
  std::string text_;              // of all cells
  std::string beginning_;         // of a row that is too long
  std::vector<size_t> cell_ends_;  // in text_
  std::optional<RowFault> fault_;

  // The row that was given last.
  std::string row_text_;
  std::string row_beginning_;
  Row row_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_CSV_READER_H_
