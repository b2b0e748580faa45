#include "heap_adapter/spool/postgres/other_writers.h"

#include <algorithm>
#include <utility>

namespace heapsync {
namespace {

constexpr SqlStatement kLastWrites{
    "last_writes", "SELECT id, last_write, shard FROM heapsync_writer"};
// The session waits for its client in the middle of a transaction, or of a
// pipeline, which other time-outs of the database do not bound.
constexpr SqlStatement kEndStuck{
    "end_stuck",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user "
    "AND application_name = 'heapsync-writer' AND wait_event = 'ClientRead' "
    "AND state <> 'idle' AND xact_start < now() - interval '5 seconds'"};
constexpr SqlStatement kForgetOld{
    "forget_old",
    "DELETE FROM heapsync_writer WHERE seen_at < now() - interval '1 day' "
    "OR (seen_at < now() - interval '10 minutes' AND NOT EXISTS "
    "(SELECT 1 FROM heapsync_server "
    "WHERE heapsync_server.id = heapsync_writer.server))"};
// Rows in use are passed over: their sessions end soon.
constexpr SqlStatement kForgetLost{
    "forget_lost",
    "DELETE FROM heapsync_writer WHERE id IN "
    "(SELECT id FROM heapsync_writer AS writer WHERE server <> 0 "
    "AND NOT EXISTS (SELECT 1 FROM heapsync_server "
    "WHERE heapsync_server.id = writer.server) FOR UPDATE SKIP LOCKED)"};
constexpr SqlStatement kSeen{
    "seen", "UPDATE heapsync_writer SET seen_at = now() WHERE server = $1"};

}  // namespace

absl::StatusOr<std::vector<int32_t>> OtherWriters::ShardsWritten(
    PostgresConnection& connection, SqlDeadline deadline) {
  const auto rows = connection.Run({kLastWrites}, deadline);
  if (!rows.ok()) return rows.status();
  absl::flat_hash_map<int64_t, int64_t> last_writes;
  std::vector<int32_t> shards;
  for (int row = 0; row < rows->rows(); ++row) {
    const int64_t writer = rows->Int8(row, 0);
    const int64_t last_write = rows->Int8(row, 1);
    last_writes.emplace(writer, last_write);
    const auto known = last_writes_.find(writer);
    if (known != last_writes_.end() && known->second == last_write) continue;
    shards.push_back(rows->Int4(row, 2));
  }
  last_writes_ = std::move(last_writes);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  return shards;
}

absl::Status OtherWriters::EndStuck(PostgresConnection& connection,
                                    SqlDeadline deadline) {
  const auto ended = connection.Run({kEndStuck}, deadline);
  return connection.usable() ? absl::OkStatus() : ended.status();
}

absl::Status OtherWriters::ForgetOld(PostgresConnection& connection,
                                     SqlDeadline deadline) {
  return connection.Run({kForgetOld}, deadline).status();
}

absl::Status OtherWriters::ForgetLost(PostgresConnection& connection,
                                      SqlDeadline deadline) {
  return connection.Run({kForgetLost}, deadline).status();
}

absl::Status OtherWriters::Seen(PostgresConnection& connection, ServerId server,
                                SqlDeadline deadline) {
  return connection.Run({kSeen, SqlParameters().Int8(server)}, deadline)
      .status();
}

}  // namespace heapsync
