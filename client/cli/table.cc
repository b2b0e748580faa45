#include "client/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

// Characters of UTF-8: bytes that do not continue one.
size_t Width(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
      }));
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  std::vector<std::string> names;
  for (const Column& column : columns_) names.push_back(column.name);
  rows_.push_back(std::move(names));
}

void Table::AddRow(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    const size_t line = text.size();
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += "  ";
      const std::string padding(widths[i] - Width(row[i]), ' ');
      const bool right = columns_[i].align == Align::kRight;
      text += right ? padding + row[i] : row[i] + padding;
    }
    text.erase(std::max(text.find_last_not_of(' ') + 1, line));
    text += '\n';
  }
  return text;
}

}  // namespace heapsync
