#include "client/cli/query_input.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/query_columns.h"
#include "client/cli/utf8.h"

namespace heapsync {
namespace {

std::string Quoted(absl::string_view name) {
  return absl::StrCat("\"", Printable(name), "\"");
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueryInput>> QueryInput::Open(
    const QueryOptions& query, std::map<std::string, std::string> options,
    const MappingOptions& mapping) {
  // The constructor is private.
  std::unique_ptr<QueryInput> input(new QueryInput());
  OdbcQuery with_cursor = query.query;
  if (query.is_incremental()) {
    absl::StatusOr<std::optional<CursorState>> saved;
    if (query.dry_run) {
      saved = ReadCursorState(query.state_path);
    } else {
      absl::StatusOr<CursorFile> file = CursorFile::Open(query.state_path);
      if (!file.ok()) return file.status();
      input->file_.emplace(*std::move(file));
      saved = input->file_->state();
    }
    if (!saved.ok()) return saved.status();
    options["odbc"] = query.source;
    options["cursor"] = query.query.cursor;
    // Not its text: it may name people.
    options["query"] = absl::StrCat(
        absl::Hex(XXH3_64bits(query.query.sql.data(), query.query.sql.size()),
                  absl::kZeroPad16));
    input->state_.options = std::move(options);
    if (saved->has_value() && !query.forget_state) {
      if (absl::Status same = CheckSameOptions(**saved, input->state_.options);
          !same.ok()) {
        return same;
      }
      input->state_.value = (*saved)->value;
      input->notes_.push_back(
          "continuing where the last import ended, by its state");
    } else if (query.cursor_start.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "there is no state of an earlier import (", query.state_path,
          "); --cursor_start=VALUE says where the first one begins"));
    } else {
      input->state_.value = query.cursor_start;
    }
    with_cursor.cursor_value = input->state_.value;
  }
  auto rows = OdbcRows::Open(with_cursor);
  if (!rows.ok()) return rows.status();
  input->rows_ = *std::move(rows);

  std::vector<std::string> names;
  for (const OdbcColumn& column : input->rows_->columns()) {
    names.push_back(column.name);
  }
  auto resolved = ResolveColumns(mapping, names);
  if (!resolved.ok()) return resolved.status();
  input->mapping_ = std::move(resolved->mapping);
  for (size_t i = 0; i < names.size(); ++i) {
    if (resolved->keys[i] != names[i]) {
      input->rows_->Rename(i, resolved->keys[i]);
    }
  }
  const bool has_key = input->mapping_.columns.count("idempotency_key") > 0 ||
                       std::find(resolved->keys.begin(), resolved->keys.end(),
                                 "idempotency_key") != resolved->keys.end();
  if (query.is_incremental() && mapping.type == ObjectType::kTrackEvent &&
      !has_key) {
    return absl::InvalidArgumentError(
        "events with --cursor need a column for idempotency_key (see --map): "
        "an import that was interrupted reads some rows again, and their "
        "events would count twice");
  }
  if (absl::Status status = input->CheckColumns(query); !status.ok()) {
    return status;
  }
  if (input->rows_->is_loaded_whole()) {
    input->notes_.push_back(
        "MariaDB's driver loads the whole result into memory before its "
        "version 3.2");
  }
  if (input->file_) {
    if (absl::Status saved = input->file_->Save(input->state_); !saved.ok()) {
      return saved;
    }
  }
  return input;
}

// ODBC's timestamps have no zone, so times of columns with one are in that of
// the driver's session, which the driver does not tell.
absl::Status QueryInput::CheckColumns(const QueryOptions& query) {
  if (!query.query.init.empty()) return absl::OkStatus();
  constexpr absl::string_view kRemedy =
      "--odbc_init=\"SET TIME ZONE 'UTC'\" (PostgreSQL, Redshift), "
      "--odbc_init=\"SET time_zone = '+00:00'\" (MySQL, MariaDB) or "
      "--odbc_init=\"ALTER SESSION SET TIMEZONE = 'UTC'\" (Snowflake) gives "
      "them in UTC";
  std::vector<std::string> zoned;
  for (const OdbcColumn& column : rows_->columns()) {
    if (!column.zoned) continue;
    if (absl::EqualsIgnoreCase(column.name, query.query.cursor)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the cursor column ", Quoted(column.name),
          " has a time zone, and ODBC gives its times in the session's, which "
          "may change or repeat an hour; ",
          kRemedy));
    }
    zoned.push_back(Quoted(column.name));
  }
  if (!zoned.empty()) {
    notes_.push_back(absl::StrCat(
        "the times of ", absl::StrJoin(zoned, ", "),
        " have a time zone, and ODBC gives them in the session's; they are "
        "taken for UTC. ",
        kRemedy));
  }
  return absl::OkStatus();
}

ByteSource QueryInput::Bytes() {
  return ByteSource::FromPieces([this] { return rows_->Read(); });
}

absl::Status QueryInput::Checkpoint(uint64_t rows_done) {
  if (!file_) return absl::OkStatus();
  std::optional<std::string> value = rows_->CompletedCursor(rows_done);
  if (!value) return absl::OkStatus();
  state_.value = *std::move(value);
  return file_->Save(state_);
}

}  // namespace heapsync
