#include "client/cli/cursor_tracker.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace heapsync {
namespace {

// A decimal number without an exponent.
struct Decimal {
  bool negative;
  absl::string_view whole;     // no zeros in front
  absl::string_view fraction;  // no zeros behind
};

bool IsDigits(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

std::optional<Decimal> ParseDecimal(absl::string_view text) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  if (!negative) absl::ConsumePrefix(&text, "+");
  const size_t point = text.find('.');
  absl::string_view whole = text.substr(0, point);
  absl::string_view fraction =
      point == absl::string_view::npos ? "" : text.substr(point + 1);
  if (whole.size() + fraction.size() == 0 || !IsDigits(whole) ||
      !IsDigits(fraction)) {
    return std::nullopt;
  }
  while (absl::ConsumePrefix(&whole, "0")) {
  }
  while (absl::ConsumeSuffix(&fraction, "0")) {
  }
  return Decimal{negative && whole.size() + fraction.size() > 0, whole,
                 fraction};
}

int Compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int magnitude = 0;
  if (a.whole.size() != b.whole.size()) {
    magnitude = a.whole.size() < b.whole.size() ? -1 : 1;
  } else {
    magnitude = a.whole.compare(b.whole);
    if (magnitude == 0) magnitude = a.fraction.compare(b.fraction);
  }
  return a.negative ? -magnitude : magnitude;
}

}  // namespace

int CompareCursorValues(CursorOrder order, absl::string_view a,
                        absl::string_view b) {
  if (order == CursorOrder::kNumber) {
    const std::optional<Decimal> left = ParseDecimal(a);
    const std::optional<Decimal> right = ParseDecimal(b);
    if (left && right) return Compare(*left, *right);
  }
  const auto folded = [](absl::string_view text) {
    return absl::AsciiStrToLower(absl::StripTrailingAsciiWhitespace(text));
  };
  const int order_of_bytes = a.compare(b);
  return order_of_bytes != 0 && folded(a) == folded(b) ? 0 : order_of_bytes;
}

absl::Status CursorTracker::Observe(uint64_t row, absl::string_view value) {
  if (!open_.empty()) {
    const int order = CompareCursorValues(order_, value, open_.back().value);
    if (order < 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the cursor's value of row ", row,
          " is below that of the row before: the query must ORDER BY the "
          "cursor column (a text column in the order of its bytes)"));
    }
    if (order == 0) {
      open_.back().last_row = row;
      return absl::OkStatus();
    }
  }
  open_.push_back({row, std::string(value)});
  return absl::OkStatus();
}

const std::optional<std::string>& CursorTracker::Completed(uint64_t rows_done) {
  // The last group stays, because the next value is compared with it.
  while (!open_.empty() && open_.front().last_row <= rows_done &&
         (open_.size() > 1 || finished_)) {
    completed_ = std::move(open_.front().value);
    open_.pop_front();
  }
  return completed_;
}

}  // namespace heapsync
