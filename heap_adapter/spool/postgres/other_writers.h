#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_OTHER_WRITERS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_OTHER_WRITERS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/spool/postgres/connection.h"
#include "heap_adapter/spool/shards.h"

namespace heapsync {

// The servers that write to shards without owning them. Errors are those of the
// connection. One thread.
class OtherWriters {
 public:
  // The shards to which any of them has written since the last call; at the
  // first one all to which any ever has.
  absl::StatusOr<std::vector<int32_t>> ShardsWritten(
      PostgresConnection& connection, SqlDeadline deadline);

  // Ends sessions of writers that hold locks and have sent nothing for seconds:
  // their server was stopped in the middle of a write, and others would wait
  // for it. No error if the database does not know how.
  static absl::Status EndStuck(PostgresConnection& connection,
                               SqlDeadline deadline);

  // Deletes the rows of writers that have not been seen for a day, or whose
  // servers are gone. One that wakes up later ends, to start again.
  static absl::Status ForgetOld(PostgresConnection& connection,
                                SqlDeadline deadline);
  // Deletes the rows of writers whose servers have lost their places: what they
  // still hold for their callers is refused, and they end, to start again.
  static absl::Status ForgetLost(PostgresConnection& connection,
                                 SqlDeadline deadline);
  // The writers of `server`, if it has any, have been seen.
  static absl::Status Seen(PostgresConnection& connection, ServerId server,
                           SqlDeadline deadline);

 private:
  // By writer.
  absl::flat_hash_map<int64_t, int64_t> last_writes_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_OTHER_WRITERS_H_
