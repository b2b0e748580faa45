#ifndef HEAPSYNC_CLIENT_CLI_DRY_RUN_H_
#define HEAPSYNC_CLIENT_CLI_DRY_RUN_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/import_job.h"
#include "client/cli/input_profile.h"
#include "client/cli/row_findings.h"
#include "heapsync/client/client.h"

namespace heapsync {

struct DryRunOptions {
  ImportOptions import;
  uint64_t max_rows = 0;  // 0: all
};

// The outcome of a dry run.
struct DryRunReport {
  explicit DryRunReport(ObjectType type) : profile(type) {}

  struct Fault {
    uint64_t rows = 0;
    uint64_t first_row = 0;  // from 1
    std::string field;       // of the first row
    std::string description;
  };

  InputProfile profile;
  uint64_t rows = 0;
  uint64_t rejected = 0;
  std::map<std::string, Fault> faults;  // by reason
  RowWarnings warnings;
  std::map<std::string, std::string> columns;  // by field, where it is known
  std::vector<std::string> notes;
  bool asked_server = false;
};

// Reads the input as an import does, and asks the server to judge the items
// without storing them. Writes no file: neither state nor rejected rows. With a
// server that cannot be reached, only what the client itself checks is found.
// Errors: those of ImportJob::Prepare() and of the stream; kCancelled after
// `stop`. `report` then holds what was found so far. One thread at a time.
absl::Status RunDryRun(const DryRunOptions& options, const Client& client,
                       const std::atomic<bool>& stop, DryRunReport& report);

// Both end with a line break.
std::string ToText(const DryRunReport& report);
std::string ToJsonLine(const DryRunReport& report, const absl::Status& status);

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_DRY_RUN_H_
