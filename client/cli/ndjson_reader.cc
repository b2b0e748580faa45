#include "client/cli/ndjson_reader.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace heapsync {

NdjsonReader::NdjsonReader(size_t max_row_bytes)
    : max_row_bytes_(max_row_bytes) {}

void NdjsonReader::Feed(absl::string_view text) {
  buffer_.erase(0, start_);
  scanned_ -= start_;
  start_ = 0;
  buffer_.append(text.data(), text.size());
}

const Row* NdjsonReader::Next() {
  while (true) {
    const size_t line_break = buffer_.find('\n', scanned_);
    const bool found = line_break != std::string::npos;
    const size_t end = found ? line_break : buffer_.size();
    scanned_ = end;
    if (discarding_) {
      start_ = scanned_ = found ? end + 1 : end;
      if (!found) return nullptr;
      discarding_ = false;
      continue;
    }
    absl::string_view text =
        absl::string_view(buffer_).substr(start_, end - start_);
    // One more for a CR, three for a byte order mark.
    const bool over = text.size() > max_row_bytes_ + 4;
    if (!found && !over && (!finished_ || text.empty())) return nullptr;
    ++line_;
    start_ = scanned_ = found ? end + 1 : end;
    discarding_ = !found && over;
    if (line_ == 1) absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
    absl::ConsumeSuffix(&text, "\r");
    if (text.find_first_not_of(" \t") == absl::string_view::npos) continue;
    row_.line = line_;
    row_.raw = text;
    row_.fault.reset();
    if (text.size() > max_row_bytes_) {
      row_.raw = text.substr(0, max_row_bytes_);
      row_.fault = {.reason = "ROW_TOO_LONG",
                    .description = absl::StrCat("a row has at most ",
                                                max_row_bytes_, " bytes")};
    }
    return &row_;
  }
}

}  // namespace heapsync
