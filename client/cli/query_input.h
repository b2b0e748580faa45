#ifndef HEAPSYNC_CLIENT_CLI_QUERY_INPUT_H_
#define HEAPSYNC_CLIENT_CLI_QUERY_INPUT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/byte_source.h"
#include "client/cli/cursor_state.h"
#include "client/cli/field_mapping.h"
#include "client/cli/odbc_rows.h"

namespace heapsync {

// A query as the input of an import.
struct QueryOptions {
  // With cursor_value empty; max_row_bytes is that of the rows.
  OdbcQuery query;
  // Names the data source in the state, without what may be secret.
  std::string source;

  // The value that an import with a cursor begins after if it has no state, and
  // the file of the state.
  std::string cursor_start;
  std::string state_path;
  bool forget_state = false;

  // The state is read, but neither locked nor written.
  bool dry_run = false;

  bool is_incremental() const { return !query.cursor.empty(); }
};

// The result of a query as the input of an import and, with a cursor, the state
// that the next import goes on from. One thread at a time.
class QueryInput {
 public:
  // Executes the query, after the value of the state. `options` decide what a
  // row becomes, by flag name; they must be those of the state. Errors: those
  // of CursorFile, CheckSameOptions(), OdbcRows and ResolveColumns(), and
  // kInvalidArgument for a cursor that could lose or repeat rows: without a
  // state and a start, of times in an unknown zone, or of events without keys.
  static absl::StatusOr<std::unique_ptr<QueryInput>> Open(
      const QueryOptions& query, std::map<std::string, std::string> options,
      const MappingOptions& mapping);

  QueryInput(const QueryInput&) = delete;
  QueryInput& operator=(const QueryInput&) = delete;

  // The rows as NDJSON. The input must outlive the source. To be called once.
  ByteSource Bytes();

  // With the names of the query's columns.
  const MappingOptions& mapping() const { return mapping_; }

  // Worth telling the user before the first row.
  const std::vector<std::string>& notes() const { return notes_; }

  // With a cursor, keeps how far the first `rows_done` rows lead.
  absl::Status Checkpoint(uint64_t rows_done);

 private:
  QueryInput() = default;
  absl::Status CheckColumns(const QueryOptions& query);

  std::unique_ptr<OdbcRows> rows_;
  std::optional<CursorFile> file_;  // null without a cursor, or in a dry run
  CursorState state_;
  MappingOptions mapping_;
  std::vector<std::string> notes_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_QUERY_INPUT_H_
