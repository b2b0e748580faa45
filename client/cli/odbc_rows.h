#ifndef HEAPSYNC_CLIENT_CLI_ODBC_ROWS_H_
#define HEAPSYNC_CLIENT_CLI_ODBC_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/cursor_tracker.h"
#include "client/cli/odbc_connection.h"
#include "client/cli/odbc_values.h"

namespace heapsync {

struct OdbcQuery {
  std::string connection;         // string with everything to connect
  std::vector<std::string> init;  // statements before the query
  std::string sql;

  // The column whose values say how far an incremental import has come; empty:
  // none. With one, `sql` has one parameter, which gets `cursor_value`.
  std::string cursor;
  std::string cursor_value;

  // Bounds the memory for one row.
  size_t max_row_bytes = 1 << 20;
};

// The rows of a query's result as NDJSON, one object a row in the order of the
// result. One thread at a time.
class OdbcRows {
 public:
  // Connects and executes the query. Errors: kInvalidArgument for a query that
  // gives no rows or has other parameters than the cursor, for columns without
  // a name, of the same name or of binary values, for a cursor that is no
  // column; kUnavailable and kInternal with what the driver says.
  static absl::StatusOr<std::unique_ptr<OdbcRows>> Open(const OdbcQuery& query);

  ~OdbcRows();
  OdbcRows(const OdbcRows&) = delete;
  OdbcRows& operator=(const OdbcRows&) = delete;

  const std::vector<OdbcColumn>& columns() const { return columns_; }

  // True if the driver holds the whole result in memory.
  bool is_loaded_whole() const { return connection_.loads_whole_results(); }

  // Gives a column another key in the objects. REQUIRES: Read() was not called.
  void Rename(size_t column, absl::string_view key);

  // The next rows as text, valid until the next call; empty at the end. Of a
  // row longer than max_row_bytes, its beginning and more bytes than that.
  // Errors: those of the driver; kFailedPrecondition where the cursor's values
  // are NULL, out of order or infinite. The rows before an error are given
  // first.
  absl::StatusOr<absl::string_view> Read();

  // The cursor's value up to which all rows are among the first `rows_done`;
  // null without a cursor, or if there is none yet.
  std::optional<std::string> CompletedCursor(uint64_t rows_done);

 private:
  explicit OdbcRows(OdbcConnection connection, size_t max_row_bytes)
      : connection_(std::move(connection)), max_row_bytes_(max_row_bytes) {}

  absl::Status Execute(const OdbcQuery& query);
  absl::Status BindCursor(const OdbcQuery& query);
  absl::Status DescribeColumns();
  absl::Status FindCursor(const std::string& name);
  // Appends the row at the statement's place to the piece.
  absl::Status AppendRow();
  enum class Cell { kValue, kNull, kTooLong };
  // Reads a cell of the row as text.
  absl::StatusOr<Cell> ReadText(size_t column, size_t limit);
  // Reads a cell of a floating-point column as the shortest text of its number.
  absl::StatusOr<Cell> ReadNumber(size_t column);
  absl::Status CellFailed(size_t column) const;
  absl::Status Failed(absl::string_view action) const;

  OdbcConnection connection_;
  const size_t max_row_bytes_;
  void* statement_ = nullptr;
  std::vector<OdbcColumn> columns_;
  std::vector<std::string> keys_;  // as JSON: "name":
  std::optional<size_t> cursor_;   // column
  std::optional<CursorTracker> tracker_;
  std::string cursor_value_;
  std::string cell_;
  std::string piece_;
  std::vector<char> buffer_;
  // Columns may hold values that are not of their type (SQLite).
  bool holds_any_type_ = false;
  uint64_t rows_ = 0;
  bool ended_ = false;
  absl::Status error_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ODBC_ROWS_H_
