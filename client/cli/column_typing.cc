#include "client/cli/column_typing.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "client/cli/json_struct.h"

namespace heapsync {

void ColumnTyping::Observe(size_t column, absl::string_view cell) {
  double number;
  if (cell.empty() ||
      cell.find_first_not_of("0123456789+-.eE") != absl::string_view::npos ||
      !absl::SimpleAtod(cell, &number)) {
    return;
  }
  if (column >= columns_.size()) columns_.resize(column + 1);
  Seen& seen = columns_[column];
  if (!CellValue(cell, ValueTyping::kTyped).has_number_value()) {
    seen.changed = true;
    return;
  }
  if (cell.find_first_of("eE") != absl::string_view::npos) return;
  const size_t point = cell.find('.');
  const size_t decimals =
      point == absl::string_view::npos ? 0 : cell.size() - point - 1;
  if (decimals == 1 && cell.back() == '0') seen.zero_alone = true;
  if (decimals > 1 && cell.back() == '0') seen.zero_at_end = true;
  seen.min_decimals =
      seen.any_number ? std::min(seen.min_decimals, decimals) : decimals;
  seen.max_decimals = std::max(seen.max_decimals, decimals);
  seen.any_number = true;
}

bool ColumnTyping::KeepsText(size_t column) const {
  if (column >= columns_.size()) return false;
  const Seen& seen = columns_[column];
  return seen.changed ||
         (seen.zero_at_end && seen.min_decimals != seen.max_decimals) ||
         (seen.zero_alone && seen.min_decimals == 0);
}

bool ColumnTyping::HasNumbers(size_t column) const {
  return column < columns_.size() &&
         (columns_[column].any_number || columns_[column].changed);
}

bool NamesVersions(absl::string_view column) {
  constexpr absl::string_view kWords[] = {
      "version", "versions", "ver", "firmware", "release", "build", "revision"};
  // Words are separated by anything but letters, or begin with a capital.
  std::string word;
  const auto is_listed = [&] {
    return std::find(std::begin(kWords), std::end(kWords), word) !=
           std::end(kWords);
  };
  bool after_lower = false;
  for (const char c : column) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = absl::ascii_isalpha(byte);
    if (!letter || (absl::ascii_isupper(byte) && after_lower)) {
      if (is_listed()) return true;
      word.clear();
    }
    if (letter) word += absl::ascii_tolower(byte);
    after_lower = absl::ascii_islower(byte);
  }
  return is_listed();
}

}  // namespace heapsync
