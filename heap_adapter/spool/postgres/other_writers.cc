#include "heap_adapter/spool/postgres/other_writers.h"

#include <utility>

namespace heapsync {
namespace {

constexpr SqlStatement kLastWrites{
    "last_writes", "SELECT last_write FROM heapsync_writer ORDER BY id"};
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
    "DELETE FROM heapsync_writer WHERE seen_at < now() - interval '1 day'"};
constexpr SqlStatement kSeen{
    "seen", "UPDATE heapsync_writer SET seen_at = now() WHERE id = $1"};

}  // namespace

absl::StatusOr<bool> OtherWriters::HaveWritten(PostgresConnection& connection,
                                               SqlDeadline deadline) {
  const auto rows = connection.Run({kLastWrites}, deadline);
  if (!rows.ok()) return rows.status();
  std::vector<int64_t> last_writes;
  for (int row = 0; row < rows->rows(); ++row) {
    last_writes.push_back(rows->Int8(row, 0));
  }
  const bool same = std::exchange(asked_, true) && last_writes == last_writes_;
  last_writes_ = std::move(last_writes);
  return !same;
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

absl::Status OtherWriters::Seen(PostgresConnection& connection, int64_t id,
                                SqlDeadline deadline) {
  return connection.Run({kSeen, SqlParameters().Int8(id)}, deadline).status();
}

}  // namespace heapsync
