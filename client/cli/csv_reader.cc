#include "client/cli/csv_reader.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

uint64_t CountLineBreaks(absl::string_view text) {
  uint64_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++count;
    } else if (text[i] == '\r' &&
               (i + 1 == text.size() || text[i + 1] != '\n')) {
      ++count;
    }
  }
  return count;
}

}  // namespace

CsvReader::CsvReader(char delimiter, size_t max_row_bytes)
    : delimiter_(delimiter), max_row_bytes_(max_row_bytes) {}

void CsvReader::Feed(absl::string_view text) {
  buffer_.erase(0, start_);
  start_ = 0;
  buffer_.append(text.data(), text.size());
}

const Row* CsvReader::Next() {
  if (!SkipByteOrderMark()) return nullptr;
  while (true) {
    if (!SkipDiscarded()) return nullptr;
    absl::string_view text = absl::string_view(buffer_).substr(start_);
    if (text.empty()) return nullptr;
    // The result for a row never depends on how much was fed beyond it.
    const bool over = text.size() > max_row_bytes_ + 2;
    if (over) text = text.substr(0, max_row_bytes_ + 2);
    Scan scan = ScanRow(text, finished_ && !over);
    if (scan == Scan::kNeedsMore && over) scan = Fail("ROW_TOO_LONG", "");
    if (scan == Scan::kRow && row_end_ > max_row_bytes_) {
      scan = Fail("ROW_TOO_LONG", "");
    }
    if (scan == Scan::kNeedsMore) return nullptr;
    if (scan == Scan::kFault) {
      if (fault_.reason == "ROW_TOO_LONG") {
        fault_.description = absl::StrCat("a row has at most ", max_row_bytes_,
                                          " bytes; a quote may be unclosed");
      }
      return TakeFault(text, finished_ && !over);
    }
    if (row_end_ > 0) return TakeRow();
    Consume(row_bytes_);
  }
}

bool CsvReader::SkipByteOrderMark() {
  if (!at_beginning_) return true;
  if (!finished_ && buffer_.size() < kByteOrderMark.size() &&
      absl::StartsWith(kByteOrderMark, buffer_)) {
    return false;
  }
  if (absl::StartsWith(buffer_, kByteOrderMark)) start_ = kByteOrderMark.size();
  at_beginning_ = false;
  return true;
}

bool CsvReader::SkipDiscarded() {
  if (after_cr_ && start_ < buffer_.size()) {
    if (buffer_[start_] == '\n') ++start_;
    after_cr_ = false;
  }
  if (!discarding_) return true;
  const size_t end = buffer_.find_first_of("\r\n", start_);
  if (end == std::string::npos) {
    start_ = buffer_.size();
    return false;
  }
  discarding_ = false;
  after_cr_ = buffer_[end] == '\r';
  start_ = end + 1;
  ++line_;
  return SkipDiscarded();
}

CsvReader::Scan CsvReader::ScanRow(absl::string_view text, bool complete) {
  cells_.clear();
  unescaped_.clear();
  size_t position = 0;
  while (true) {
    cell_begin_ = position;
    if (position < text.size() && text[position] == '"') {
      const Scan scan = ScanQuotedCell(text, complete, position);
      if (scan != Scan::kRow) return scan;
    } else {
      while (position < text.size() && text[position] != delimiter_ &&
             text[position] != '\n' && text[position] != '\r') {
        if (text[position] == '"') {
          return Fail("BAD_QUOTING",
                      "a quote inside a cell that does not begin with one");
        }
        ++position;
      }
      EndCell(false, cell_begin_, position);
    }
    if (position == text.size()) {
      if (!complete) return Scan::kNeedsMore;
      row_end_ = row_bytes_ = position;
      return Scan::kRow;
    }
    if (text[position] == delimiter_) {
      ++position;
      continue;
    }
    if (text[position] != '\n' && text[position] != '\r') {
      return Fail("BAD_QUOTING", "text after a closing quote");
    }
    row_end_ = position;
    row_bytes_ = position + 1;
    after_cr_ = text[position] == '\r';
    return Scan::kRow;
  }
}

CsvReader::Scan CsvReader::ScanQuotedCell(absl::string_view text, bool complete,
                                          size_t& position) {
  const size_t begin = unescaped_.size();
  ++position;
  while (true) {
    const size_t quote = text.find('"', position);
    if (quote == absl::string_view::npos) {
      if (!complete) return Scan::kNeedsMore;
      return Fail("UNCLOSED_QUOTE", "a quote is opened and never closed");
    }
    unescaped_.append(text.data() + position, quote - position);
    position = quote + 1;
    if (position == text.size() && !complete) return Scan::kNeedsMore;
    if (position == text.size() || text[position] != '"') break;
    unescaped_ += '"';
    ++position;
  }
  EndCell(true, begin, unescaped_.size());
  return Scan::kRow;
}

void CsvReader::EndCell(bool unescaped, size_t begin, size_t end) {
  cells_.push_back({.unescaped = unescaped, .begin = begin, .end = end});
}

CsvReader::Scan CsvReader::Fail(absl::string_view reason,
                                std::string description) {
  fault_ = {.reason = reason, .description = std::move(description)};
  return Scan::kFault;
}

const Row* CsvReader::TakeRow() {
  const absl::string_view text = absl::string_view(buffer_).substr(start_);
  row_.line = line_;
  row_.raw = text.substr(0, row_end_);
  row_.fault.reset();
  row_.cells.clear();
  for (const Cell& cell : cells_) {
    const absl::string_view source =
        cell.unescaped ? absl::string_view(unescaped_) : text;
    row_.cells.push_back(source.substr(cell.begin, cell.end - cell.begin));
  }
  Consume(row_bytes_);
  return &row_;
}

const Row* CsvReader::TakeFault(absl::string_view text, bool complete) {
  // No line break can stand before the cell that is not part of the row.
  const size_t end = text.find_first_of("\r\n", cell_begin_);
  const bool found = end != absl::string_view::npos;
  if (!found && !complete && text.size() < max_row_bytes_ + 2) return nullptr;
  after_cr_ = found && text[end] == '\r';
  discarding_ = !found && !complete;
  row_.line = line_;
  row_.raw = text.substr(0, found ? end : text.size());
  row_.fault = fault_;
  row_.cells.clear();
  Consume(found ? end + 1 : text.size());
  return &row_;
}

void CsvReader::Consume(size_t bytes) {
  line_ += CountLineBreaks(absl::string_view(buffer_).substr(start_, bytes));
  start_ += bytes;
}

}  // namespace heapsync
