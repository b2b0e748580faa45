#include "heap_adapter/spool/postgres/sql_error.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace heapsync {
namespace {

struct Row {
  // A whole SQLSTATE, or the two characters of its class. The first row that
  // fits counts.
  absl::string_view prefix;
  absl::StatusCode code;
  absl::string_view meaning;
};

constexpr absl::StatusCode kAway = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kFull = absl::StatusCode::kResourceExhausted;
constexpr absl::StatusCode kWrong = absl::StatusCode::kFailedPrecondition;

// PostgreSQL's appendix A, and what CockroachDB and YugabyteDB use of it.
constexpr Row kRows[] = {
    {"53300", kAway, "the database has no connection left"},
    {"53100", kFull, "the database's disk is full"},
    {"53200", kFull, "the database is out of memory"},
    {"53", kFull, "the database is short of something"},
    {"08", kAway, "the connection to the database was lost"},
    {"25006", kAway, "the database is read-only at the moment"},
    {"25P03", kAway, "the database ended an idle transaction"},
    {"25P04", kAway, "the database ended a long transaction"},
    {"40", kAway, "the transaction has to be repeated"},
    {"55P03", kAway, "a row is locked"},
    {"55006", kAway, "the database is busy"},
    {"57", kAway, "the database stops, starts, or cancelled the statement"},
    {"72000", kAway, "the snapshot is too old"},
    {"28", kWrong, "the database refuses this user"},
    {"3D", kWrong, "there is no such database"},
    {"3F", kWrong, "there is no such schema"},
    {"42501", kWrong, "this user lacks a right in the database"},
    {"42", kWrong, "the database has other tables than this version needs"},
    {"0A", kWrong, "the database lacks a feature"},
};

const Row* Find(absl::string_view sql_state) {
  for (const Row& row : kRows) {
    if (absl::StartsWith(sql_state, row.prefix)) return &row;
  }
  return nullptr;
}

bool IsSqlState(absl::string_view word) {
  return word.size() == 5 && std::all_of(word.begin(), word.end(), [](char c) {
           return absl::ascii_isdigit(c) || absl::ascii_isupper(c);
         });
}

// Messages of several hosts come in several lines.
std::string OneLine(absl::string_view text) {
  std::vector<absl::string_view> lines =
      absl::StrSplit(text, '\n', absl::SkipWhitespace());
  for (absl::string_view& line : lines) line = absl::StripAsciiWhitespace(line);
  return absl::StrJoin(lines, "; ");
}

}  // namespace

absl::Status SqlError(absl::string_view sql_state, absl::string_view text) {
  if (sql_state.empty()) {
    return absl::UnavailableError(
        absl::StrCat("the database cannot be reached: ", OneLine(text)));
  }
  const Row* row = Find(sql_state);
  if (row == nullptr) {
    return absl::InternalError(
        absl::StrCat("the database failed (SQLSTATE ", sql_state, ")"));
  }
  return absl::Status(row->code,
                      absl::StrCat(row->meaning, " (SQLSTATE ", sql_state, ": ",
                                   OneLine(text), ")"));
}

absl::string_view SqlStateIn(absl::string_view message) {
  absl::string_view found;
  for (const absl::string_view line : absl::StrSplit(message, '\n')) {
    // "FATAL:  28P01", in any language; a port is no SQLSTATE.
    constexpr absl::string_view kBeforeState = ":  ";
    const size_t before = line.rfind(kBeforeState);
    if (before == absl::string_view::npos) continue;
    const absl::string_view state = line.substr(before + kBeforeState.size());
    const Row* row = IsSqlState(state) ? Find(state) : nullptr;
    if (row == nullptr) continue;
    if (row->code == kWrong) return state;
    if (found.empty()) found = state;
  }
  return found;
}

}  // namespace heapsync
