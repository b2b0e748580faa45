#include "client/cli/json_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

using Verdict = JsonStructure::Verdict;

// Before each object of a JSON text sequence (RFC 7464).
constexpr char kRecordSeparator = '\x1e';
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsBlank(char byte) {
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

}  // namespace

JsonReader::JsonReader(size_t max_row_bytes) : max_row_bytes_(max_row_bytes) {}

void JsonReader::Feed(absl::string_view text) {
  buffer_.erase(0, start_);
  position_ -= start_;
  start_ = 0;
  buffer_.append(text.data(), text.size());
}

const Row* JsonReader::Next() {
  if (stopped_ || !SkipByteOrderMark()) return nullptr;
  row_ready_ = false;
  while (!row_ready_) {
    bool goes_on = false;
    switch (state_) {
      case State::kBetween:
        goes_on = ScanBetween();
        break;
      case State::kObject:
        goes_on = ScanObject();
        break;
      case State::kBehindObject:
        goes_on = ScanBehindObject();
        break;
      case State::kBrokenObject:
        goes_on = ScanBrokenObject();
        break;
      case State::kLine:
        goes_on = ScanLine();
        break;
    }
    if (!goes_on) return nullptr;
  }
  return &row_;
}

bool JsonReader::SkipByteOrderMark() {
  if (!at_beginning_) return true;
  if (!finished_ && buffer_.size() < kByteOrderMark.size() &&
      absl::StartsWith(kByteOrderMark, buffer_)) {
    return false;
  }
  if (absl::StartsWith(buffer_, kByteOrderMark)) {
    start_ = position_ = kByteOrderMark.size();
  }
  at_beginning_ = false;
  return true;
}

bool JsonReader::ScanBetween() {
  while (!AtEnd()) {
    const char byte = buffer_[position_];
    if (IsBlank(byte) || byte == kRecordSeparator) {
      if (byte == '\n') ++line_;
      start_ = ++position_;
      continue;
    }
    if (array_ == Array::kUnknown) {
      array_ = byte == '[' ? Array::kOpen : Array::kNone;
      if (array_ == Array::kOpen) {
        start_ = ++position_;
        continue;
      }
    }
    Begin(State::kObject);
    const bool opens = byte == '{' || byte == '[';
    if (array_ == Array::kNone) {
      if (byte == '}' || byte == ']') {
        return Stop("a bracket is closed that was not opened");
      }
      if (!opens) state_ = State::kLine;
      return true;
    }
    if (array_ == Array::kClosed) {
      return Stop("text follows the end of the array");
    }
    if (byte == ']') {
      array_ = Array::kClosed;
    } else if (byte == ',' && !separated_) {
      separated_ = true;
    } else if (opens && separated_) {
      separated_ = false;
      return true;
    } else {
      return Stop("the array holds something else than objects with commas");
    }
    state_ = State::kBetween;
    start_ = ++position_;
  }
  if (finished_ && array_ == Array::kOpen) {
    Begin(State::kBetween);
    return Stop("the array has no end; the input may be cut off");
  }
  return false;
}

bool JsonReader::ScanObject() {
  while (!AtEnd()) {
    const char byte = buffer_[position_];
    switch (structure_.Add(byte)) {
      case Verdict::kMalformed:
        return Malformed();
      case Verdict::kGoesOn:
        if (byte == '\n' && first_line_end_ == 0) first_line_end_ = row_bytes_;
        if (byte == '\n') {
          line_blank_ = true;
        } else if (!IsBlank(byte)) {
          line_blank_ = false;
        }
        Advance();
        break;
      case Verdict::kComplete:
        Advance();
        object_end_ = row_bytes_;
        state_ = State::kBehindObject;
        return true;
    }
  }
  return finished_ && EndOfInputInObject();
}

// An object is followed by the end of the line, by another object or, in an
// array, by what stands between its elements.
bool JsonReader::ScanBehindObject() {
  if (array_ == Array::kOpen) return TakeRow(object_end_);
  size_t next = position_;
  while (next < buffer_.size() && IsBlank(buffer_[next]) &&
         buffer_[next] != '\n') {
    ++next;
  }
  if (next == buffer_.size() && !finished_) {
    // Blanks without end are not kept.
    if (next - position_ > max_row_bytes_) return TakeRow(object_end_);
    return false;
  }
  if (next == buffer_.size() || buffer_[next] == '\n' || buffer_[next] == '{') {
    return TakeRow(object_end_);
  }
  if (first_line_end_ > 0) {
    return Stop("text follows an object on its last line");
  }
  state_ = State::kLine;
  return true;
}

// Finds the end of the line, where every bracket has to be closed: otherwise
// the lines that follow may be the inside of the object.
bool JsonReader::ScanBrokenObject() {
  while (!AtEnd() && buffer_[position_] != '\n') {
    const Verdict verdict = structure_.AddLeniently(buffer_[position_]);
    Advance();
    if (verdict == Verdict::kComplete) {
      state_ = State::kLine;
      return true;
    }
  }
  if (AtEnd() && !finished_) return false;
  if (AtEnd()) return TakeRow(row_bytes_);
  return Stop("an object is broken, and spans several lines");
}

bool JsonReader::ScanLine() {
  while (!AtEnd() && buffer_[position_] != '\n') Advance();
  if (AtEnd() && !finished_) return false;
  return TakeRow(row_bytes_);
}

// The byte at the position cannot belong to the object. Either its first line
// was cut off and another object begins, or it is broken itself.
bool JsonReader::Malformed() {
  const char byte = buffer_[position_];
  const bool first_line = first_line_end_ == 0;
  if (array_ != Array::kOpen && first_line && byte != '\n') {
    const bool closed = structure_.AddLeniently(byte) == Verdict::kComplete;
    state_ = closed ? State::kLine : State::kBrokenObject;
    Advance();
    return true;
  }
  bool begins = byte == '{' && line_blank_;
  if (first_line && byte == '\n') {  // within a string
    size_t next = position_;
    while (next < buffer_.size() && IsBlank(buffer_[next])) ++next;
    if (next == buffer_.size() && !finished_) {
      structure_ = {};
      // Scanned again when more is known.
      position_ = start_;
      line_ = row_line_;
      row_bytes_ = 0;
      return false;
    }
    begins = next == buffer_.size() || buffer_[next] == '{';
    first_line_end_ = row_bytes_;
  }
  if (array_ == Array::kOpen || !begins) {
    return Stop("an object is broken, and spans lines");
  }
  return TakeFirstLine();
}

bool JsonReader::EndOfInputInObject() {
  if (array_ == Array::kOpen || first_line_end_ > 0) {
    return Stop("an object has no end; the input may be cut off");
  }
  return TakeRow(row_bytes_);
}

void JsonReader::Begin(State state) {
  state_ = state;
  structure_ = {};
  start_ = position_;
  row_line_ = line_;
  row_bytes_ = object_end_ = first_line_end_ = 0;
  line_blank_ = true;
  beginning_.clear();
}

// Keeps only the beginning of a row that is too long.
void JsonReader::Advance() {
  if (buffer_[position_] == '\n') ++line_;
  ++position_;
  ++row_bytes_;
  // One more for a CR.
  if (row_bytes_ <= max_row_bytes_ + 1) return;
  if (beginning_.empty()) beginning_.assign(buffer_, start_, max_row_bytes_);
  start_ = position_;
}

// `end` is relative to the beginning of the row.
bool JsonReader::TakeRow(size_t end) {
  row_.line = row_line_;
  row_.fault.reset();
  row_beginning_.swap(beginning_);
  if (row_beginning_.empty()) {
    row_.raw = absl::string_view(buffer_).substr(start_, end);
    absl::ConsumeSuffix(&row_.raw, "\r");
  } else {
    row_.raw = row_beginning_;
  }
  if (!row_beginning_.empty() || row_.raw.size() > max_row_bytes_) {
    row_.raw = row_.raw.substr(0, max_row_bytes_);
    row_.fault = {.reason = "ROW_TOO_LONG",
                  .description = absl::StrCat("a row has at most ",
                                              max_row_bytes_, " bytes")};
  }
  start_ = position_;
  state_ = State::kBetween;
  row_ready_ = true;
  return true;
}

// Goes back to the second line of what cannot be one object.
bool JsonReader::TakeFirstLine() {
  if (!beginning_.empty()) {
    return Stop("an object that is too long is broken, and spans lines");
  }
  position_ = start_ + first_line_end_;
  line_ = row_line_;
  return TakeRow(first_line_end_);
}

bool JsonReader::Stop(absl::string_view what) {
  stopped_ = true;
  row_.line = row_line_;
  row_.raw = absl::string_view();
  row_.fault = {
      .reason = "NOT_A_SEQUENCE",
      .description = absl::StrCat(
          what,
          "; JSON is read as one object a line, as objects one after the "
          "other, or as one array of objects (jq -c . makes one a line)"),
      .extent = RowFault::Extent::kRestOfInput};
  row_ready_ = true;
  return true;
}

}  // namespace heapsync
