#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_

#include "absl/status/status.h"
#include "heap_adapter/spool/postgres/connection.h"

namespace heapsync {

// The tables of a spool, in the first schema of the user's search_path:
//
//   heapsync_spool   one row: the version of these tables, and how many shards
//   heapsync_shard   one row for each shard: who owns it, and its last write
//   heapsync_writer  one row for each server that owns nothing: its last write
//   heapsync_entry   the entries of the shards, by key
//
// Makes them if there are none, and checks their version. Any number of servers
// may do so at once. Also refuses a session whose commits would not be synced.
//
// Errors: kFailedPrecondition if another version made the tables, a right is
// missing, or commits are not synced; otherwise those of the connection.
absl::Status PrepareSchema(PostgresConnection& connection,
                           SqlDeadline deadline);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_
