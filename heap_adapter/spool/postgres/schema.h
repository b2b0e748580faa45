#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/spool/postgres/connection.h"

namespace heapsync {

// One of the databases of a spool. Its shards are dealt out to them in turn:
// shard 0 to the first database, shard 1 to the second one. A database has its
// part under numbers of its own, from zero.
struct SpoolPart {
  int32_t shards = 16;  // of the spool
  int32_t databases = 1;
  int32_t place = 0;  // of this database among them, from zero
  // The number by which databases of one spool know each other. Zero, for the
  // first one: as it is there, or a new one.
  int64_t spool_id = 0;

  int32_t OwnShards() const {
    return (shards - place + databases - 1) / databases;
  }
  // The number in the spool of a shard of this database.
  int32_t ShardOf(int32_t own) const { return own * databases + place; }
};

// The tables of a spool, in the first schema of the user's search_path:
//
//   heapsync_spool   one row: the version of these tables, and the SpoolPart
//   heapsync_server  one row for each server that runs: its lease
//   heapsync_shard   one row for each shard: who owns it, and its last write
//   heapsync_writer  one row for each server and shard that it does not own, to
//                    which it has written: its last write
//   heapsync_entry   the entries of the shards, by key
//
// Makes them if there are none, and checks that they are of this version and
// hold `part`. Any number of servers may do so at once. Also refuses a session
// whose commits would not be synced. Returns the spool's number.
//
// Errors: kFailedPrecondition if another version made the tables, they hold
// another part, or that of another spool, a right is missing, or commits are
// not synced; otherwise those of the connection.
absl::StatusOr<int64_t> PrepareSchema(PostgresConnection& connection,
                                      const SpoolPart& part,
                                      SqlDeadline deadline);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_POSTGRES_SCHEMA_H_
