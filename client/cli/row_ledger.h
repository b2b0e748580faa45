#ifndef HEAPSYNC_CLIENT_CLI_ROW_LEDGER_H_
#define HEAPSYNC_CLIENT_CLI_ROW_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/rejects_file.h"
#include "heapsync/client/status_details.h"

namespace heapsync {

// The rows that were read and are not settled yet, in order. A row is settled
// when it was refused here, or when the server made its item durable or refused
// it, and the same holds for every row before it. Rows count from 1; items,
// which only some rows become, have indices from 0 on.
class RowLedger {
 public:
  // Goes on behind rows that are settled already, of this hash.
  RowLedger(uint64_t rows_done, uint64_t next_index, uint64_t rows_hash = 0);

  // The hash of rows, where `hash` is that of those before the last one; 0
  // without any.
  static uint64_t HashRow(uint64_t hash, absl::string_view raw);

  // The next row became the next item of the job.
  void AddItem(uint64_t line, absl::string_view raw);

  // The next row became no item.
  void AddRejected(uint64_t line, absl::string_view raw,
                   std::vector<Violation> violations);

  // The server refused an item. Unknown indices are ignored.
  void RejectItem(uint64_t index, std::vector<Violation> violations);

  // The row of an item that is not settled, from 1; 0 if there is none.
  uint64_t RowOf(uint64_t index) const;

  // Forgets what is settled once everything below `durable_position` is durable
  // or refused. Gives the refused rows among them, in order.
  std::vector<RejectedRow> Settle(uint64_t durable_position);

  // Rows settled, since the beginning of the input.
  uint64_t rows_done() const { return rows_done_; }

  // The hash of the text of those rows.
  uint64_t rows_hash() const { return rows_hash_; }

  // Rows added, or settled before, since the beginning of the input.
  uint64_t rows_read() const { return rows_done_ + pending_.size(); }

  // Index of the first item that is not settled.
  uint64_t settled_index() const {
    return pending_.empty() ? next_index_ : pending_.front().index;
  }

  // Index that the next item gets.
  uint64_t next_index() const { return next_index_; }

  // Memory for the texts of rows that are not settled.
  size_t held_bytes() const { return held_bytes_; }

 private:
  struct Pending {
    uint64_t index;  // of the item, or of the next one if it is none
    bool is_item;
    bool rejected;
    uint64_t line;
    std::vector<Violation> violations;
    std::string raw;
  };

  void Add(Pending pending);
  // Place in `pending_`; its end if there is none.
  size_t Find(uint64_t index) const;

  uint64_t rows_done_;
  uint64_t next_index_;
  uint64_t rows_hash_;
  size_t held_bytes_ = 0;
  std::deque<Pending> pending_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_CLIENT_CLI_ROW_LEDGER_H_
