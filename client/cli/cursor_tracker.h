#ifndef HEAPSYNC_CLIENT_CLI_CURSOR_TRACKER_H_
#define HEAPSYNC_CLIENT_CLI_CURSOR_TRACKER_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// How the values of a cursor column are compared. Times in the form
// 2024-01-15 10:30:00.5 compare as text.
enum class CursorOrder { kNumber, kText };

// Negative, zero or positive, as `a` is below, equal to or above `b`. Numbers
// are decimal, without an exponent, and of any length; a text that is none
// compares as text: by its bytes, but two that differ only in the case of
// letters or in spaces at the end are equal, as they are to many databases.
int CompareCursorValues(CursorOrder order, absl::string_view a,
                        absl::string_view b);

// Tells how far a result that is ordered by a column has been dealt with, in
// terms of that column's values. A value is complete once all of its rows are:
// rows with the same value may follow, so the last value that was read stays
// open until the result ends. Pure.
//
// Memory: one text for each value that is not complete.
class CursorTracker {
 public:
  explicit CursorTracker(CursorOrder order) : order_(order) {}

  // Row number `row`, from 1 and one more each time, has this value. Errors:
  // kFailedPrecondition if it is below the row's before.
  absl::Status Observe(uint64_t row, absl::string_view value);

  // The result has no more rows.
  void Finish() { finished_ = true; }

  // The highest value of which no row is above `rows_done`; null if there is
  // none yet. Never goes down. REQUIRES: `rows_done` does not, either.
  const std::optional<std::string>& Completed(uint64_t rows_done);

 private:
  struct Group {
    uint64_t last_row;
    std::string value;
  };

  const CursorOrder order_;
  bool finished_ = false;
  std::deque<Group> open_;  // by value; the last one may grow
  std::optional<std::string> completed_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_CURSOR_TRACKER_H_
