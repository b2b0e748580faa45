#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "heap_adapter/spool/postgres/connection.h"

namespace heapsync {

// The tables of a spool, in the first schema of the user's search_path:
//
//   heapsync_spool   one row: the version of these tables, and how many shards
//   heapsync_server  one row for each server that runs: its lease
//   heapsync_shard   one row for each shard: who owns it, and its last write
//   heapsync_writer  one row for each server and shard that it does not own, to
//                    which it has written: its last write
//   heapsync_entry   the entries of the shards, by key
//
// Makes them if there are none, with `shards` shards, and checks that number
// and their version. Any number of servers may do so at once. Also refuses a
// session whose commits would not be synced.
//
// Errors: kFailedPrecondition if another version made the tables, they have
// another number of shards, a right is missing, or commits are not synced;
// otherwise those of the connection.
absl::Status PrepareSchema(PostgresConnection& connection, int32_t shards,
                           SqlDeadline deadline);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_
