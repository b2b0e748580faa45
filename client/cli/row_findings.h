#ifndef HEAPSYNC_CLIENT_CLI_ROW_FINDINGS_H_
#define HEAPSYNC_CLIENT_CLI_ROW_FINDINGS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/row_ledger.h"
#include "heapsync/client/status_details.h"
#include "heapsync/v1/heap_sync_service.pb.h"
#include "nlohmann/json_fwd.hpp"

namespace heapsync {

// Violations of a stream name the item by its place in the job, these not.
std::vector<Violation> ViolationsOfRow(const v1::RejectedItem& item);

// The warnings about the rows of an input, counted by reason. One thread at a
// time.
class RowWarnings {
 public:
  // Warnings of the reason `ignored` are not counted.
  explicit RowWarnings(std::string ignored = "")
      : ignored_(std::move(ignored)) {}

  // REQUIRES: what is reported has not been settled in `ledger`.
  void Add(const v1::WarnedItem& item, const RowLedger& ledger);
  void Add(const v1::UnlistedWarnings& unlisted, const RowLedger& ledger);

  // There may be more than were added.
  void SetPartial() { are_partial_ = true; }

  // For example "warning: TIMESTAMP_IMPLAUSIBLE: 3 times, first in row 2
  // (timestamp)", one line for each reason. Printable.
  std::string ToText() const;

  // By reason: `count`, `is_at_least`, `first_row` (from 1) and `first_field`.
  nlohmann::ordered_json ToJson() const;

 private:
  struct Count {
    uint64_t count = 0;
    uint64_t first_row = 0;   // from 1
    std::string first_field;  // empty: unknown, or the row as a whole
  };

  void Add(const std::string& reason, uint64_t count, uint64_t row,
           std::string field);

  std::string ignored_;
  std::map<std::string, Count> by_reason_;
  bool are_partial_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ROW_FINDINGS_H_
