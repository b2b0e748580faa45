#ifndef HEAPSYNC_CLIENT_CLI_COLUMN_TYPING_H_
#define HEAPSYNC_CLIENT_CLI_COLUMN_TYPING_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// Which columns of a table stay text because a number would change some of
// their cells: leading zeros and plus signs, more digits than a double holds,
// and zeros at the end where not all cells have as many decimals (versions 1.1
// and 1.10, but not prices 9.90 and 12.00).
class ColumnTyping {
 public:
  void Observe(size_t column, absl::string_view cell);

  bool KeepsText(size_t column) const;
  bool HasNumbers(size_t column) const;

 private:
  struct Seen {
    bool changed = false;      // as a number, whatever else is seen
    bool zero_at_end = false;  // 1.10
    bool zero_alone = false;   // 1.0, as programs write whole doubles
    bool any_number = false;
    size_t min_decimals = 0;
    size_t max_decimals = 0;
  };
  std::vector<Seen> columns_;
};

// True for the names of columns that hold versions, such as app_version: text,
// even where all of them look like numbers with as many decimals (1.10, 1.20).
bool NamesVersions(absl::string_view column);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_COLUMN_TYPING_H_
