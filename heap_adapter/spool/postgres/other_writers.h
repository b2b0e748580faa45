#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_OTHER_WRITERS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_OTHER_WRITERS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/spool/postgres/connection.h"

namespace heapsync {

// The servers that write to a spool without owning it, as one of them, or the
// owner, sees them. Errors are those of the connection. One thread.
class OtherWriters {
 public:
  // True if any of them has written since the last call, and at the first one.
  absl::StatusOr<bool> HaveWritten(PostgresConnection& connection,
                                   SqlDeadline deadline);

  // Ends sessions of writers that hold locks and have sent nothing for seconds:
  // their server was stopped in the middle of a write, and others would wait
  // for it. No error if the database does not know how.
  static absl::Status EndStuck(PostgresConnection& connection,
                               SqlDeadline deadline);

  // Deletes the rows of writers that have not been seen for a day. One that
  // wakes up later ends, to start again.
  static absl::Status ForgetOld(PostgresConnection& connection,
                                SqlDeadline deadline);
  // The writer `id`, if it has a row, has been seen.
  static absl::Status Seen(PostgresConnection& connection, int64_t id,
                           SqlDeadline deadline);

 private:
  std::vector<int64_t> last_writes_;
  bool asked_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_OTHER_WRITERS_H_
