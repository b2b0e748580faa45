#ifndef HEAPSYNC_CLIENT_CLI_TABLE_H_
#define HEAPSYNC_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

namespace heapsync {

// Rows of texts in columns that line up, two spaces apart:
//
//   NAME    QUEUED
//   prod    12,345
//   europe       0
//
// A character counts as one column. Pure.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string name;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);

  // REQUIRES: as many cells as there are columns.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.size() == 1; }

  // The names and the rows, each with a line break; no line ends in spaces.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // the first has the names
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_TABLE_H_
