#ifndef HEAPSYNC_CLIENT_CLI_ROW_H_
#define HEAPSYNC_CLIENT_CLI_ROW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// Why the text of a row cannot be read.
struct RowFault {
  enum class Extent {
    kRow,         // the rows behind it are certain
    kRestOfInput  // what follows may be the inside of a cell or of an object
  };

  absl::string_view reason;  // UPPER_SNAKE, a literal
  std::string description;
  Extent extent = Extent::kRow;

  friend bool operator==(const RowFault&, const RowFault&) = default;
};

// One row as a reader found it. The views are valid until the reader's next
// call.
struct Row {
  uint64_t line = 0;      // where it begins, from 1
  absl::string_view raw;  // its text without the final line break; the first
                          // part only if it was too long
  std::vector<absl::string_view> cells;  // CSV only, unquoted
  std::optional<RowFault> fault;         // set: `cells` is empty
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ROW_H_
