#ifndef HEAPSYNC_CLIENT_CLI_IMPORT_JOB_H_
#define HEAPSYNC_CLIENT_CLI_IMPORT_JOB_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/field_mapping.h"
#include "client/cli/mapped_row.h"
#include "client/cli/progress.h"
#include "client/cli/query_input.h"
#include "client/cli/rejects_file.h"
#include "client/cli/row_findings.h"
#include "client/cli/row_source.h"
#include "heap_adapter/encoding/reasons.h"
#include "heap_adapter/encoding/repeated_keys.h"
#include "heapsync/client/bulk_writer.h"
#include "heapsync/client/client.h"

namespace heapsync {

struct ImportOptions {
  std::string input = "-";  // "-": standard input
  // The input instead. With a cursor, `state_path` is the cursor's, of which a
  // run goes on unless `start` is kRestart; rejected rows are added to those
  // that the file holds.
  std::optional<QueryOptions> query;
  RowSourceOptions rows;
  MappingOptions mapping;

  // Destination, level, request id and so on of the stream. `start_index` and
  // the callbacks are set by the job.
  BulkWriterOptions stream;

  std::string rejects_path;  // empty: rejected rows are only counted

  // Where the job's progress is kept. Empty: beside a regular file, if that is
  // possible, and nowhere for pipes.
  std::string state_path;

  // What to do about a state that an interrupted import left behind.
  enum class Start {
    kFresh,    // refuse to run: some of the rows may have been sent
    kResume,   // from there; without a state, from the beginning
    kRestart,  // forget it
  };
  Start start = Start::kFresh;

  // Smaller: less is sent twice after a crash (which is harmless), more syncs.
  std::chrono::milliseconds checkpoint_interval{1'000};
};

struct ImportSummary {
  uint64_t rows = 0;         // in the input, as far as settled
  uint64_t rows_before = 0;  // of these, settled by an earlier process
  uint64_t rejected = 0;     // of `rows`
  BulkTotals stream;         // of this process
  std::string request_id;
  std::vector<RejectedRow> first_rejected;  // a few, of this process
  // Those of this process, but for reused keys, which are counted over
  // several streams, as `reused_keys`.
  RowWarnings warnings{std::string(reason::kIdempotencyKeyReused)};
  // By column, of the rows that this process read: cells that are NULL, and
  // those whose text only looks like it.
  std::map<std::string, uint64_t> null_cells, null_like_cells;
  // See RowSource::ChangedColumns().
  std::vector<std::string> changed_columns;
  // With ACK_LEVEL_DELIVERED: `stream` counts only a part of the deliveries,
  // because an earlier run or connection sent rows, too. They were waited for
  // all the same.
  bool counts_are_partial = false;
  ReusedKeys reused_keys;          // by row, of this process
  std::vector<std::string> notes;  // worth telling the user
  std::string state_path;          // empty: nothing to resume from
};

// The rows of an import's input, opened.
struct ImportInput {
  std::unique_ptr<QueryInput> query;  // what `rows` reads; null: a file
  RowSource rows;
};

// Opens the file or executes the query; of a query, moves `state_path` there
// and completes `mapping` and `rows`. Errors: as ImportJob::Prepare(). `stop`
// must outlive the input.
absl::StatusOr<ImportInput> OpenInput(ImportOptions& options,
                                      const std::atomic<bool>& stop);

// One import: reads rows, streams items, writes rejected rows to their file
// and keeps the state from which another process can resume. Memory is bounded
// for inputs of any size. One thread at a time.
class ImportJob {
 public:
  // Opens the input, and reads its header and the state, of which no other
  // process may have a job meanwhile. Errors:
  // kInvalidArgument where the options do not fit the input or name it as an
  // output,
  // kFailedPrecondition where they do not fit the state, kCancelled soon after
  // `stop` is set, else why a file cannot be used. `stop` must outlive the job.
  static absl::StatusOr<std::unique_ptr<ImportJob>> Prepare(
      ImportOptions options, const std::atomic<bool>& stop);

  virtual ~ImportJob() = default;

  // Runs to the end, and keeps the state. What a pipe's writer has written is
  // sent soon, also if it then pauses. Ends early with kCancelled soon after
  // `stop` is set; the state then says how far it came, as it does after an
  // error. Not to be repeated. `progress` is asked whether it wants a snapshot,
  // and given it.
  virtual absl::Status Run(const Client& client, ProgressWriter& progress) = 0;

  // Removes the state of a complete import; without effect on others. To be
  // called once the caller has told how it ended: until then, another process
  // that resumes the import finds it complete and sends nothing twice.
  virtual absl::Status Conclude() = 0;

  // Of what happened so far; complete after Run().
  virtual const ImportSummary& summary() const = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_IMPORT_JOB_H_
