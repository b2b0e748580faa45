#include "client/cli/csv_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr absl::string_view kWhichEscape =
    "where \\\" stands for a quote use --escape=spark or --escape=backslash "
    "(MySQL), where a backslash is plain text --escape=double";

// The control character that a letter behind a backslash stands for.
std::optional<char> ControlOf(char letter) {
  constexpr absl::string_view kLetters = "ntrbfv";
  constexpr absl::string_view kControls = "\n\t\r\b\f\v";
  const size_t found = kLetters.find(letter);
  if (found == absl::string_view::npos) return std::nullopt;
  return kControls[found];
}

bool IsLineBreak(char byte) { return byte == '\n' || byte == '\r'; }

}  // namespace

CsvReader::CsvReader(const CsvDialect& dialect, size_t max_row_bytes)
    : dialect_(dialect), max_row_bytes_(max_row_bytes) {}

void CsvReader::Feed(absl::string_view text) {
  buffer_.erase(0, start_);
  position_ -= start_;
  start_ = 0;
  buffer_.append(text.data(), text.size());
}

const Row* CsvReader::Next() {
  if (stopped_ || !SkipByteOrderMark()) return nullptr;
  while (true) {
    switch (Step()) {
      case Scan::kGoOn:
        break;
      case Scan::kNeedsMore:
        return nullptr;
      case Scan::kFault:
        return TakeFault();
      case Scan::kRowEnd:
        if (const Row* row = TakeRow()) return row;
        break;
    }
  }
}

bool CsvReader::SkipByteOrderMark() {
  if (!at_beginning_) return true;
  if (!finished_ && buffer_.size() < kByteOrderMark.size() &&
      absl::StartsWith(kByteOrderMark, buffer_)) {
    return false;
  }
  if (absl::StartsWith(buffer_, kByteOrderMark)) {
    start_ = position_ = kByteOrderMark.size();
  }
  at_beginning_ = false;
  BeginRow();
  return true;
}

bool CsvReader::Knows(size_t distance) const {
  return finished_ || position_ + distance < buffer_.size();
}

std::optional<char> CsvReader::ByteAt(size_t distance) const {
  if (position_ + distance >= buffer_.size()) return std::nullopt;
  return buffer_[position_ + distance];
}

bool CsvReader::EndsCell(std::optional<char> byte) const {
  return !byte || *byte == dialect_.delimiter || IsLineBreak(*byte);
}

CsvReader::Scan CsvReader::Step() {
  if (!Knows(0)) return Scan::kNeedsMore;
  const std::optional<char> byte = ByteAt(0);
  if (state_ == State::kQuoted) return QuotedStep();
  if (!byte) {
    // An empty last line is none.
    if (row_bytes_ == 0) return Scan::kNeedsMore;
    EndCell();
    return Scan::kRowEnd;
  }
  return PlainStep(*byte);
}

CsvReader::Scan CsvReader::PlainStep(char byte) {
  if (byte == '"' && dialect_.quoting == CsvQuoting::kQuotes &&
      state_ != State::kClosed) {
    if (state_ == State::kCellStart) {
      state_ = State::kQuoted;
      only_delimiters_ = doubled_seen_ = after_backslash_ = false;
      Take(1, "");
      return Scan::kGoOn;
    }
    return StrayQuote();
  }
  if (byte == dialect_.delimiter) {
    EndCell();
    Take(1, "");
    return Scan::kGoOn;
  }
  if (IsLineBreak(byte)) {
    const Scan end = LineEnd();
    if (end != Scan::kGoOn) return end;
  }
  if (state_ == State::kClosed) {
    return Fail("BAD_QUOTING",
                "text after a closing quote, so it is not known where the cell "
                "ends; double the quotes inside of cells, or try "
                "--escape=spark or --quote=none");
  }
  if (byte == '\\' && dialect_.escape == CsvEscape::kBackslash) {
    state_ = State::kPlain;
    only_delimiters_ = blank_cell_ = false;
    return EscapeStep();
  }
  // A run of plain bytes; the first is one in any case.
  size_t end = position_ + 1;
  while (end < buffer_.size() && buffer_[end] != '"' &&
         buffer_[end] != dialect_.delimiter && !IsLineBreak(buffer_[end]) &&
         buffer_[end] != '\\' && buffer_[end - 1] != '\\') {
    ++end;
  }
  const absl::string_view run =
      absl::string_view(buffer_).substr(position_, end - position_);
  state_ = State::kPlain;
  if (run.find_first_not_of(" \t") != absl::string_view::npos) {
    only_delimiters_ = blank_cell_ = false;
  }
  after_backslash_ = run.back() == '\\' && !after_backslash_;
  Take(run.size(), run);
  return Scan::kGoOn;
}

// kGoOn: a byte of the cell like any other.
CsvReader::Scan CsvReader::LineEnd() {
  size_t bytes = 1;
  RowEnds ends = RowEnds::kLineFeed;
  if (*ByteAt(0) == '\r') {
    if (!Knows(1)) return Scan::kNeedsMore;
    if (ByteAt(1) == '\n') {
      bytes = 2;
    } else {
      ends = RowEnds::kCarriageReturn;
    }
  }
  if (row_ends_ == RowEnds::kUnknown) row_ends_ = ends;
  // A lone one of the other kind comes from the text of a cell.
  if (bytes == 1 && row_ends_ != ends) return Scan::kGoOn;
  if (after_backslash_ && dialect_.escape == CsvEscape::kUnstated) {
    return Fail("AMBIGUOUS_ESCAPE",
                absl::StrCat("a backslash stands before the end of the line, "
                             "which may belong to the cell; ",
                             kWhichEscape));
  }
  return EndRow(bytes);
}

CsvReader::Scan CsvReader::EndRow(size_t line_break_bytes) {
  EndCell();
  TrackLine(absl::string_view(buffer_).substr(position_, line_break_bytes));
  position_ += line_break_bytes;
  return Scan::kRowEnd;
}

// A quote within the text of a plain cell. Some would read it as the opening
// one of a quoted part; the row alone is at fault only if that reading fails
// or ends within the cell.
CsvReader::Scan CsvReader::StrayQuote() {
  const auto row_fault = [&] {
    if (!fault_) {
      fault_ = {
          .reason = "BAD_QUOTING",
          .description = "a quote inside a cell that does not begin with one"};
    }
  };
  if (blank_cell_) {
    return Fail("AMBIGUOUS_QUOTE",
                "a quote behind white space at the beginning of a cell; remove "
                "the white space, or use --quote=none if quotes are text");
  }
  size_t next = position_;
  while (true) {
    next = buffer_.find('"', next + 1);
    const size_t distance = std::min(next, buffer_.size()) - position_;
    if (distance > max_row_bytes_) break;
    if (next == std::string::npos) {
      if (!finished_) return Scan::kNeedsMore;
      row_fault();  // never closed, so never opened
      Take(1, "");
      return Scan::kGoOn;
    }
    const absl::string_view between =
        absl::string_view(buffer_).substr(position_, next - position_);
    if (std::none_of(between.begin(), between.end(),
                     [&](char byte) { return EndsCell(byte); })) {
      row_fault();
      Take(between.size() + 1, "");
      return Scan::kGoOn;
    }
    if (next + 1 == buffer_.size() && !finished_) return Scan::kNeedsMore;
    if (next + 1 < buffer_.size() && buffer_[next + 1] == '"') {
      ++next;
      continue;
    }
    const bool opens = EndsCell(buffer_[next - 1]);
    const bool closes =
        next + 1 == buffer_.size() || EndsCell(buffer_[next + 1]);
    if (!opens || closes) break;
    row_fault();
    Take(1, "");
    return Scan::kGoOn;
  }
  return Fail("AMBIGUOUS_QUOTE",
              "a quote inside a cell that does not begin with one, and the "
              "following text may belong to it; use --quote=none if quotes are "
              "text, or quote the cell and double the quote");
}

CsvReader::Scan CsvReader::QuotedStep() {
  const std::optional<char> byte = ByteAt(0);
  if (!byte) {
    return Fail("UNCLOSED_QUOTE",
                "a quote is opened and never closed, so it is not known where "
                "the row ends; close it, or use --quote=none if quotes are "
                "text");
  }
  if (*byte == '"') return ClosingQuote();
  if (*byte == '\\' && EscapesInQuotes()) return EscapeStep();
  size_t end = position_ + 1;
  while (end < buffer_.size() && buffer_[end] != '"' && buffer_[end] != '\\' &&
         buffer_[end - 1] != '\\') {
    ++end;
  }
  const absl::string_view run =
      absl::string_view(buffer_).substr(position_, end - position_);
  after_backslash_ = run.back() == '\\' && !after_backslash_;
  Take(run.size(), run);
  return Scan::kGoOn;
}

// A quote within a quoted cell: the closing one, or half of a doubled one.
CsvReader::Scan CsvReader::ClosingQuote() {
  if (!Knows(1)) return Scan::kNeedsMore;
  const std::optional<char> next = ByteAt(1);
  // Where a backslash escapes, a quote that is doubled is impossible. So once
  // one was seen in the cell, backslashes are text.
  const bool maybe_escaped = after_backslash_ && !doubled_seen_ &&
                             dialect_.escape == CsvEscape::kUnstated;
  after_backslash_ = false;
  if (next == '"' && !EscapesInQuotes()) {
    if (maybe_escaped) {
      if (!Knows(2)) {
        after_backslash_ = true;
        return Scan::kNeedsMore;
      }
      if (EndsCell(ByteAt(2))) {
        return Fail("AMBIGUOUS_ESCAPE",
                    absl::StrCat("a quoted cell holds a quote behind a "
                                 "backslash, and may end at the next quote; ",
                                 kWhichEscape));
      }
    }
    doubled_seen_ = true;
    Take(2, "\"");
    return Scan::kGoOn;
  }
  if (maybe_escaped) {
    return Fail("AMBIGUOUS_ESCAPE",
                absl::StrCat("a quoted cell ends at a quote behind a "
                             "backslash, or does not end there; ",
                             kWhichEscape));
  }
  Take(1, "");
  state_ = State::kClosed;
  return Scan::kGoOn;
}

// A backslash where it escapes. Before anything else it is text.
CsvReader::Scan CsvReader::EscapeStep() {
  if (!Knows(2)) return Scan::kNeedsMore;
  const std::optional<char> next = ByteAt(1);
  if (next && dialect_.quoting == CsvQuoting::kNone) {
    if (const std::optional<char> control = ControlOf(*next)) {
      Take(2, absl::string_view(&*control, 1));
      return Scan::kGoOn;
    }
  }
  if (!next || (!EndsCell(next) && *next != '"' && *next != '\\')) {
    Take(1, "\\");
    return Scan::kGoOn;
  }
  const size_t bytes = *next == '\r' && ByteAt(2) == '\n' ? 2 : 1;
  Take(1, "");
  Take(bytes, absl::string_view(buffer_).substr(position_, bytes));
  return Scan::kGoOn;
}

void CsvReader::Take(size_t bytes, absl::string_view text) {
  if (row_bytes_ + bytes <= max_row_bytes_) {
    text_.append(text.data(), text.size());
  }
  TrackLine(absl::string_view(buffer_).substr(position_, bytes));
  position_ += bytes;
  row_bytes_ += bytes;
  DropTextBeyondLimit();
}

// Keeps only the beginning of a row that is too long.
void CsvReader::DropTextBeyondLimit() {
  if (row_bytes_ <= max_row_bytes_) return;
  if (!too_long_) {
    too_long_ = true;
    fault_ = {.reason = "ROW_TOO_LONG",
              .description =
                  absl::StrCat("a row has at most ", max_row_bytes_, " bytes")};
    beginning_.assign(buffer_, start_, max_row_bytes_);
  }
  start_ = position_;
}

// CRLF counts once, even where the pieces are cut between its bytes.
void CsvReader::TrackLine(absl::string_view text) {
  for (const char byte : text) {
    if (byte == '\r' || (byte == '\n' && !after_cr_)) ++line_;
    after_cr_ = byte == '\r';
  }
}

void CsvReader::EndCell() {
  if (!fault_) cell_ends_.push_back(text_.size());
  state_ = State::kCellStart;
  blank_cell_ = true;
  after_backslash_ = false;
}

void CsvReader::BeginRow() {
  state_ = State::kCellStart;
  row_line_ = line_;
  row_bytes_ = 0;
  only_delimiters_ = blank_cell_ = true;
  after_backslash_ = after_cr_ = too_long_ = false;
  text_.clear();
  cell_ends_.clear();
  fault_.reset();
}

CsvReader::Scan CsvReader::Fail(absl::string_view reason,
                                std::string description) {
  fault_ = {.reason = reason,
            .description = std::move(description),
            .extent = RowFault::Extent::kRestOfInput};
  return Scan::kFault;
}

// Null for a row of delimiters only.
const Row* CsvReader::TakeRow() {
  row_.line = row_line_;
  row_beginning_.swap(beginning_);
  row_.raw = too_long_ ? absl::string_view(row_beginning_)
                       : absl::string_view(buffer_).substr(start_, row_bytes_);
  row_.fault = std::move(fault_);
  row_.cells.clear();
  row_text_.swap(text_);
  size_t begin = 0;
  if (!row_.fault) {
    for (const size_t end : cell_ends_) {
      row_.cells.push_back(
          absl::string_view(row_text_).substr(begin, end - begin));
      begin = end;
    }
  }
  const bool skipped = only_delimiters_;
  start_ = position_;
  BeginRow();
  return skipped ? nullptr : &row_;
}

const Row* CsvReader::TakeFault() {
  stopped_ = true;
  row_.line = row_line_;
  row_.raw = too_long_ ? absl::string_view(beginning_)
                       : absl::string_view(buffer_).substr(start_, row_bytes_);
  row_.fault = std::move(fault_);
  row_.cells.clear();
  return &row_;
}

}  // namespace heapsync
