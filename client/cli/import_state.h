#ifndef HEAPSYNC_CLIENT_CLI_IMPORT_STATE_H_
#define HEAPSYNC_CLIENT_CLI_IMPORT_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/byte_source.h"

namespace heapsync {

// The progress of an import, kept in a file beside its input, so that another
// process can resume it. All rows up to `rows_done` are settled: their items
// are durable at the server, or the rows are in the rejects file.
struct ImportState {
  // The job: the same over all processes that work on it.
  std::string request_id;
  // The request id was chosen by the user, so that the import can be repeated.
  bool is_repeatable = false;
  InputFingerprint input;
  // Everything that decides what a row becomes, by flag name.
  std::map<std::string, std::string> options;

  uint64_t rows_done = 0;      // rows after the header
  uint64_t next_index = 0;     // of the first item behind them, in the job
  uint64_t rows_hash = 0;      // of their text; see RowLedger::HashRow()
  uint64_t rejected_rows = 0;  // of rows_done
  uint64_t rejects_bytes = 0;  // length of the rejects file up to there

  friend bool operator==(const ImportState&, const ImportState&) = default;
};

// Empty if there is no such file. Errors: kDataLoss for a file that is not an
// import state or contradicts itself, else why it cannot be read.
absl::StatusOr<std::optional<ImportState>> ReadImportState(
    const std::string& path);

// Replaces the file atomically and syncs it: after a crash it holds the old
// state or the new one. The new state is first written to
// a new file `path`.tmp, mode 0600; a link of that name is not followed.
absl::Status WriteImportState(const std::string& path,
                              const ImportState& state);

// OK if the file is gone.
absl::Status RemoveImportState(const std::string& path);

// OK if `now` is the same job as `saved`. Errors: kFailedPrecondition, naming
// what changed: the input, or each option that differs.
absl::Status CheckSameJob(const ImportState& saved, const ImportState& now);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_IMPORT_STATE_H_
