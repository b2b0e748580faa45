#ifndef HEAPSYNC_CLIENT_CLI_ODBC_VALUES_H_
#define HEAPSYNC_CLIENT_CLI_ODBC_VALUES_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

// The kind of the values in a column of a query's result.
enum class OdbcKind {
  kInteger,
  kDecimal,
  kDouble,
  kFloat,  // of single precision
  kBoolean,
  kTimestamp,
  kText,
  kUuid,
  kJson,
  kUnknown,  // text; PostgreSQL's driver calls JSON so, and some other types
  kBinary
};

struct OdbcColumn {
  std::string name;
  OdbcKind kind = OdbcKind::kText;
  // A time with a zone, which ODBC's timestamps lack: the driver gives it in
  // the session's.
  bool zoned = false;
};

// The kind of a column by ODBC's type code (SQL_INTEGER and so on) and the
// data source's own name of the type.
OdbcKind KindOf(int sql_type, absl::string_view type_name);

// True if the times of a type, by its name, are in the session's zone. `driver`
// is the driver's file name in lower case: what is named `timestamp` has a zone
// in MySQL and MariaDB only.
bool HasTimeZone(absl::string_view type_name, absl::string_view driver);

// Appends a value, given as the text that the driver makes of it, as JSON.
// Where the text is not of the kind (SQLite's columns hold any type), it stays
// text. Numbers keep their digits; one that a double does not hold becomes a
// string of them: integers from 2^53 on, decimals of more than 15 significant
// digits, NaN. Timestamps become RFC 3339 with the fraction that they have, and
// "Z" unless they bring an offset; one without a month or day (MySQL's
// 0000-00-00) stays text. Text is not checked: what is not UTF-8 stays as it
// is.
void AppendOdbcValue(OdbcKind kind, absl::string_view text, std::string& json);

// Appends the text as a JSON string, with its quotes.
void AppendQuoted(absl::string_view text, std::string& json);

// The attributes of an ODBC connection string: KEY=value;KEY={value}.
std::vector<std::pair<std::string, std::string>> ConnectionAttributes(
    absl::string_view connection);

// True if an attribute of this name holds a password or the like.
bool IsSecretAttribute(absl::string_view key);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ODBC_VALUES_H_
