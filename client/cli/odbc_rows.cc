#include "client/cli/odbc_rows.h"

#include <sql.h>
#include <sqlext.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

constexpr size_t kPieceBytes = 64 * 1024;
constexpr size_t kBufferBytes = 16 * 1024;

SQLUSMALLINT Number(size_t column) {
  return static_cast<SQLUSMALLINT>(column + 1);
}

std::string TypeName(SQLHSTMT statement, size_t column) {
  char name[256] = "";
  SQLSMALLINT length = 0;
  SQLColAttribute(statement, Number(column), SQL_DESC_TYPE_NAME, name,
                  sizeof(name), &length, nullptr);
  return name;
}

struct Description {
  std::string name;
  SQLSMALLINT type = SQL_VARCHAR;
  SQLULEN size = 0;
  SQLSMALLINT digits = 0;
};

std::optional<Description> Describe(SQLHSTMT statement, size_t column) {
  SQLCHAR name[1024] = "";
  SQLSMALLINT length = 0;
  SQLSMALLINT nullable = 0;
  Description result;
  if (!SQL_SUCCEEDED(SQLDescribeCol(statement, Number(column), name,
                                    sizeof(name), &length, &result.type,
                                    &result.size, &result.digits, &nullable))) {
    return std::nullopt;
  }
  result.name = reinterpret_cast<char*>(name);
  return result;
}

bool IsNumeric(OdbcKind kind) {
  return kind == OdbcKind::kInteger || kind == OdbcKind::kDecimal;
}

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", Printable(name), "\"");
}

// The column of this name, or the only one that differs in case alone.
std::optional<size_t> Find(const std::vector<OdbcColumn>& columns,
                           absl::string_view name) {
  std::optional<size_t> similar;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
    if (!absl::EqualsIgnoreCase(columns[i].name, name)) continue;
    if (similar) return std::nullopt;
    similar = i;
  }
  return similar;
}

// True if a time has an offset other than zero.
bool HasOffset(absl::string_view time) {
  constexpr size_t kDate = 10;
  const size_t sign = time.find_first_of("+-", kDate);
  return sign != absl::string_view::npos &&
         time.find_first_not_of("0:", sign + 1) != absl::string_view::npos;
}

template <typename Float>
std::string Shortest(Float number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), number).ptr;
  return std::string(text, end);
}

}  // namespace

absl::StatusOr<std::unique_ptr<OdbcRows>> OdbcRows::Open(
    const OdbcQuery& query) {
  absl::StatusOr<OdbcConnection> connection =
      OdbcConnection::Open(query.connection, query.init);
  if (!connection.ok()) return connection.status();
  // The constructor is private.
  std::unique_ptr<OdbcRows> rows(
      new OdbcRows(*std::move(connection), query.max_row_bytes));
  if (absl::Status status = rows->Execute(query); !status.ok()) return status;
  return rows;
}

OdbcRows::~OdbcRows() {
  if (statement_ != nullptr) SQLFreeHandle(SQL_HANDLE_STMT, statement_);
}

absl::Status OdbcRows::Failed(absl::string_view action) const {
  return connection_.Error(SQL_HANDLE_STMT, statement_, action);
}

absl::Status OdbcRows::CellFailed(size_t column) const {
  return Failed(absl::StrCat("cannot read column ",
                             Quoted(columns_[column].name), " of row ", rows_));
}

absl::Status OdbcRows::Execute(const OdbcQuery& query) {
  if (!SQL_SUCCEEDED(
          SQLAllocHandle(SQL_HANDLE_STMT, connection_.handle(), &statement_))) {
    return absl::InternalError("the driver gives no statement");
  }
  std::string sql = query.sql;
  if (!SQL_SUCCEEDED(SQLPrepare(statement_,
                                reinterpret_cast<SQLCHAR*>(sql.data()),
                                static_cast<SQLINTEGER>(sql.size())))) {
    return Failed("the query was refused");
  }
  SQLSMALLINT parameters = 0;
  const SQLSMALLINT expected = query.cursor.empty() ? 0 : 1;
  if (SQL_SUCCEEDED(SQLNumParams(statement_, &parameters)) &&
      parameters != expected) {
    return absl::InvalidArgumentError(
        expected == 0
            ? "--query has a parameter (?), which only --cursor fills"
            : absl::StrCat("with --cursor the query has one parameter (?), "
                           "which gets the cursor's value; this one has ",
                           parameters));
  }
  constexpr absl::string_view kNoRows =
      "--query gives no rows: it must be a SELECT";
  // Before it is executed, if the driver knows it by now.
  SQLSMALLINT count = 0;
  if (SQL_SUCCEEDED(SQLNumResultCols(statement_, &count)) && count == 0) {
    return absl::InvalidArgumentError(kNoRows);
  }
  cursor_value_ = query.cursor_value;
  if (expected == 1) {
    if (absl::Status status = BindCursor(query); !status.ok()) return status;
  }
  const SQLRETURN executed = SQLExecute(statement_);
  if (!SQL_SUCCEEDED(executed) && executed != SQL_NO_DATA) {
    return Failed("the query failed");
  }
  if (absl::Status status = DescribeColumns(); !status.ok()) return status;
  if (columns_.empty()) return absl::InvalidArgumentError(kNoRows);
  if (!query.cursor.empty()) {
    if (absl::Status status = FindCursor(query.cursor); !status.ok()) {
      return status;
    }
  }
  buffer_.resize(kBufferBytes);
  holds_any_type_ = absl::StrContains(connection_.driver(), "sqlite");
  return absl::OkStatus();
}

// As text, of the type that the driver gives for the parameter, or else that of
// the column.
absl::Status OdbcRows::BindCursor(const OdbcQuery& query) {
  Description parameter;
  SQLSMALLINT nullable = 0;
  const bool described = SQL_SUCCEEDED(SQLDescribeParam(
                             statement_, 1, &parameter.type, &parameter.size,
                             &parameter.digits, &nullable)) &&
                         parameter.type != SQL_UNKNOWN_TYPE;
  const bool is_text =
      described && KindOf(parameter.type, "") == OdbcKind::kText &&
      parameter.type != SQL_TYPE_DATE && parameter.type != SQL_TYPE_TIME;
  if (!described) parameter = Description();
  // SQLite gives text for every parameter.
  if (!described || is_text) {
    SQLSMALLINT count = 0;
    SQLNumResultCols(statement_, &count);
    for (SQLSMALLINT i = 0; i < count; ++i) {
      const auto column = Describe(statement_, static_cast<size_t>(i));
      if (column && absl::EqualsIgnoreCase(column->name, query.cursor) &&
          (!described || IsNumeric(KindOf(column->type, "")))) {
        parameter = *column;
      }
    }
  }
  if (KindOf(parameter.type, "") == OdbcKind::kTimestamp) {
    // The fraction is kept to its last digit.
    const size_t point = cursor_value_.find('.');
    parameter.digits = static_cast<SQLSMALLINT>(
        point == std::string::npos
            ? 0
            : std::min<size_t>(cursor_value_.size() - point - 1, 9));
    parameter.size = static_cast<SQLULEN>(20 + parameter.digits);
  }
  parameter.size = std::max<SQLULEN>(parameter.size, cursor_value_.size());
  if (!SQL_SUCCEEDED(SQLBindParameter(
          statement_, 1, SQL_PARAM_INPUT, SQL_C_CHAR, parameter.type,
          parameter.size, std::max<SQLSMALLINT>(parameter.digits, 0),
          cursor_value_.data(), static_cast<SQLLEN>(cursor_value_.size()),
          nullptr))) {
    return Failed("the cursor's value cannot be given to the query");
  }
  return absl::OkStatus();
}

absl::Status OdbcRows::DescribeColumns() {
  SQLSMALLINT count = 0;
  SQLNumResultCols(statement_, &count);
  absl::flat_hash_set<std::string> names;
  std::vector<std::string> problems;
  for (SQLSMALLINT i = 0; i < count; ++i) {
    const size_t index = static_cast<size_t>(i);
    const auto described = Describe(statement_, index);
    if (!described) return Failed("the query's columns are not known");
    const std::string type_name = TypeName(statement_, index);
    OdbcColumn column{.name = described->name,
                      .kind = KindOf(described->type, type_name),
                      .zoned = HasTimeZone(type_name, connection_.driver())};
    if (column.name.empty() || column.name == "?column?") {
      problems.push_back(absl::StrCat("column ", index + 1,
                                      " of the query has no name; give it one "
                                      "with AS"));
    } else if (!names.insert(column.name).second) {
      problems.push_back(absl::StrCat("two columns of the query are named ",
                                      Quoted(column.name),
                                      "; give one another name with AS"));
    } else if (column.kind == OdbcKind::kBinary) {
      problems.push_back(
          absl::StrCat("column ", Quoted(column.name), " holds binary values (",
                       Printable(type_name),
                       "), which Heap does not take; leave it out, or select "
                       "it as text"));
    }
    columns_.push_back(std::move(column));
    keys_.emplace_back();
    Rename(index, columns_.back().name);
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "; "));
}

absl::Status OdbcRows::FindCursor(const std::string& name) {
  cursor_ = Find(columns_, name);
  if (!cursor_) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--cursor: no column of the query is named ", Quoted(name),
        "; the columns are: ",
        absl::StrJoin(columns_, ", ",
                      [](std::string* out, const OdbcColumn& column) {
                        out->append(Quoted(column.name));
                      })));
  }
  switch (columns_[*cursor_].kind) {
    case OdbcKind::kInteger:
    case OdbcKind::kDecimal:
      tracker_.emplace(CursorOrder::kNumber);
      return absl::OkStatus();
    case OdbcKind::kTimestamp:
    case OdbcKind::kText:
      tracker_.emplace(CursorOrder::kText);
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("--cursor: column ", Quoted(name),
                       " is neither a time, a whole or decimal number, nor "
                       "text"));
  }
}

void OdbcRows::Rename(size_t column, absl::string_view key) {
  keys_[column].clear();
  AppendQuoted(key, keys_[column]);
  keys_[column].push_back(':');
}

std::optional<std::string> OdbcRows::CompletedCursor(uint64_t rows_done) {
  if (!tracker_) return std::nullopt;
  return tracker_->Completed(rows_done);
}

absl::StatusOr<absl::string_view> OdbcRows::Read() {
  piece_.clear();
  while (error_.ok() && !ended_ && piece_.size() < kPieceBytes) {
    const SQLRETURN code = SQLFetch(statement_);
    if (code == SQL_NO_DATA) {
      ended_ = true;
      if (tracker_) tracker_->Finish();
    } else if (!SQL_SUCCEEDED(code)) {
      error_ = Failed(absl::StrCat("the query failed after row ", rows_));
    } else {
      const size_t before = piece_.size();
      error_ = AppendRow();
      if (!error_.ok()) piece_.resize(before);
    }
  }
  if (piece_.empty() && !error_.ok()) return error_;
  return absl::string_view(piece_);
}

absl::Status OdbcRows::AppendRow() {
  ++rows_;
  const size_t begin = piece_.size();
  std::optional<std::string> cursor;
  bool too_long = false;
  piece_.push_back('{');
  for (size_t i = 0; i < columns_.size(); ++i) {
    const bool is_cursor = cursor_ == i;
    // Behind the limit only the cursor is of interest.
    if (too_long && (!cursor_ || *cursor_ < i)) break;
    const OdbcKind kind = columns_[i].kind;
    const bool is_float = !holds_any_type_ && (kind == OdbcKind::kDouble ||
                                               kind == OdbcKind::kFloat);
    const absl::StatusOr<Cell> cell =
        is_float ? ReadNumber(i) : ReadText(i, max_row_bytes_ + 1);
    if (!cell.ok()) return cell.status();
    if (is_cursor && *cell == Cell::kValue) cursor = cell_;
    if (too_long) continue;
    if (i > 0) piece_.push_back(',');
    piece_ += keys_[i];
    if (*cell == Cell::kNull) {
      piece_ += "null";
    } else if (*cell == Cell::kTooLong) {
      AppendQuoted(cell_, piece_);
    } else {
      AppendOdbcValue(kind, cell_, piece_);
    }
    too_long = piece_.size() - begin > max_row_bytes_;
  }
  piece_ += "}\n";
  if (!cursor_) return absl::OkStatus();
  const std::string name = Quoted(columns_[*cursor_].name);
  if (!cursor) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the cursor column ", name, " is NULL in row ", rows_,
        ", so this row has no place in the order; leave such rows out (WHERE ",
        Printable(columns_[*cursor_].name), " IS NOT NULL)"));
  }
  if (absl::StartsWith(*cursor, "9999-12-31")) {
    return absl::FailedPreconditionError(
        absl::StrCat("the cursor column ", name, " of row ", rows_,
                     " is the end of time, behind which no later import would "
                     "find a row; leave such rows out"));
  }
  if (!std::all_of(cursor->begin(), cursor->end(), absl::ascii_isascii)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the cursor column ", name, " of row ", rows_,
        " holds text beyond ASCII, of which databases may take different ones "
        "for equal; choose a column of times or numbers"));
  }
  if (columns_[*cursor_].kind == OdbcKind::kTimestamp && HasOffset(*cursor)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the cursor column ", name, " of row ", rows_,
        " has a time with an offset, so that equal times may differ; convert "
        "it to UTC in the query"));
  }
  return tracker_->Observe(rows_, *cursor);
}

absl::StatusOr<OdbcRows::Cell> OdbcRows::ReadText(size_t column, size_t limit) {
  cell_.clear();
  while (true) {
    SQLLEN length = 0;
    const SQLRETURN code =
        SQLGetData(statement_, Number(column), SQL_C_CHAR, buffer_.data(),
                   static_cast<SQLLEN>(buffer_.size()), &length);
    if (code == SQL_NO_DATA) break;
    if (!SQL_SUCCEEDED(code)) return CellFailed(column);
    if (length == SQL_NULL_DATA) return Cell::kNull;
    // A full buffer ends with a zero byte.
    const size_t room = buffer_.size() - 1;
    const bool more =
        length == SQL_NO_TOTAL || static_cast<size_t>(length) > room;
    cell_.append(buffer_.data(), more ? room : static_cast<size_t>(length));
    if (cell_.size() >= limit) {
      cell_.resize(limit);
      return Cell::kTooLong;
    }
    if (!more) break;
  }
  // PostgreSQL itself writes them so, and an export does.
  if (columns_[column].kind == OdbcKind::kUuid &&
      absl::StrContains(connection_.driver(), "psqlodbc")) {
    absl::AsciiStrToLower(&cell_);
  }
  return Cell::kValue;
}

absl::StatusOr<OdbcRows::Cell> OdbcRows::ReadNumber(size_t column) {
  SQLLEN length = 0;
  SQLRETURN code = SQL_ERROR;
  if (columns_[column].kind == OdbcKind::kFloat) {
    SQLREAL number = 0;
    code = SQLGetData(statement_, Number(column), SQL_C_FLOAT, &number,
                      sizeof(number), &length);
    cell_ = Shortest(number);
  } else {
    SQLDOUBLE number = 0;
    code = SQLGetData(statement_, Number(column), SQL_C_DOUBLE, &number,
                      sizeof(number), &length);
    cell_ = Shortest(number);
  }
  if (!SQL_SUCCEEDED(code)) return CellFailed(column);
  return length == SQL_NULL_DATA ? Cell::kNull : Cell::kValue;
}

}  // namespace heapsync
