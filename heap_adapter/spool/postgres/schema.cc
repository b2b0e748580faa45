#include "heap_adapter/spool/postgres/schema.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr int32_t kVersion = 3;

// Of making the tables.
constexpr int kMaxTries = 10;
constexpr std::chrono::milliseconds kTryInterval{50};

constexpr SqlStatement kReadVersion{
    "read_version", "SELECT version, shards FROM heapsync_spool WHERE id = 1"};
constexpr SqlStatement kReadSyncing{"read_syncing", "SHOW synchronous_commit"};
constexpr SqlStatement kCheckRights{
    "check_rights", "UPDATE heapsync_shard SET epoch = epoch WHERE id = -1"};
constexpr SqlStatement kCheckWriterRights{
    "check_writer_rights", "DELETE FROM heapsync_writer WHERE id = -1"};
constexpr SqlStatement kCheckServerRights{
    "check_server_rights", "DELETE FROM heapsync_server WHERE id = -1"};
constexpr SqlStatement kCheckEntryRights{
    "check_entry_rights",
    "DELETE FROM heapsync_entry WHERE shard = -1 AND key = ''"};

// Plain SQL, which PostgreSQL's relatives know as well.
constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS heapsync_spool ("
    "id int PRIMARY KEY, version int NOT NULL, shards int NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_server ("
    "id bigint PRIMARY KEY, name text NOT NULL, "
    "lease_until timestamp with time zone NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_shard ("
    "id int PRIMARY KEY, epoch bigint NOT NULL, owner bigint NOT NULL, "
    "last_write bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_writer ("
    "id bigint PRIMARY KEY, server bigint NOT NULL, shard int NOT NULL, "
    "epoch bigint NOT NULL, last_write bigint NOT NULL, "
    "seen_at timestamp with time zone NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_entry ("
    "shard int NOT NULL, key bytea NOT NULL, value bytea NOT NULL, "
    "PRIMARY KEY (shard, key))",
};
// Last: a spool with a version is complete, and has its number of shards.
constexpr SqlStatement kMakeSpool{
    "make_spool",
    "INSERT INTO heapsync_spool (id, version, shards) VALUES (1, $1, $2) "
    "ON CONFLICT DO NOTHING"};
constexpr SqlStatement kMakeShard{
    "make_shard",
    "INSERT INTO heapsync_shard (id, epoch, owner, last_write) "
    "SELECT $1::int, 0, 0, 0 WHERE $1::int < (SELECT shards FROM "
    "heapsync_spool) "
    "ON CONFLICT DO NOTHING"};

// PostgreSQL's own. A queue needs vacuum early, values are compressed already,
// and updates of the one hot row should find space on its page.
constexpr const char* kTuning[] = {
    "ALTER TABLE heapsync_entry ALTER COLUMN value SET STORAGE EXTERNAL",
    "ALTER TABLE heapsync_entry SET (autovacuum_vacuum_scale_factor = 0, "
    "autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0, "
    "toast.autovacuum_vacuum_scale_factor = 0, "
    "toast.autovacuum_vacuum_threshold = 10000, "
    "toast.autovacuum_vacuum_cost_delay = 0)",
    "ALTER TABLE heapsync_shard SET (fillfactor = 10)",
    "ALTER TABLE heapsync_server SET (fillfactor = 10)",
    "ALTER TABLE heapsync_writer SET (fillfactor = 10)",
};

struct Made {
  int32_t version = 0;  // zero: there is none
  int32_t shards = 0;
};

absl::StatusOr<Made> ReadMade(PostgresConnection& connection,
                              SqlDeadline deadline) {
  const auto row = connection.Run({kReadVersion}, deadline);
  if (!row.ok()) return row.status();
  if (row->rows() == 0) return Made();
  return Made{.version = row->Int4(0, 0), .shards = row->Int4(0, 1)};
}

absl::Status MakeTables(PostgresConnection& connection, int32_t shards,
                        SqlDeadline deadline) {
  for (const char* table : kTables) {
    if (absl::Status s = connection.RunText(table, deadline); !s.ok()) return s;
  }
  for (const char* option : kTuning) {
    static_cast<void>(connection.RunText(option, deadline));
    if (!connection.usable()) {
      return absl::UnavailableError("the connection to the database was lost");
    }
  }
  std::vector<SqlCommand> rows = {
      {kMakeSpool, SqlParameters().Int4(kVersion).Int4(shards)}};
  for (int32_t shard = 0; shard < shards; ++shard) {
    rows.push_back({kMakeShard, SqlParameters().Int4(shard)});
  }
  return connection.RunTogether(rows, deadline).status();
}

absl::Status CheckSyncing(PostgresConnection& connection,
                          SqlDeadline deadline) {
  const auto syncing = connection.Run({kReadSyncing}, deadline);
  // Not every database knows this setting.
  if (!syncing.ok()) {
    return connection.usable() ? absl::OkStatus() : syncing.status();
  }
  if (syncing->rows() == 0 || syncing->Bytes(0, 0) != "off") {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      "synchronous_commit is off for this user: what the database confirms "
      "would not survive its crash; ALTER ROLE … SET synchronous_commit = on");
}

}  // namespace

absl::Status PrepareSchema(PostgresConnection& connection, int32_t shards,
                           SqlDeadline deadline) {
  if (absl::Status s = CheckSyncing(connection, deadline); !s.ok()) return s;
  absl::StatusOr<Made> made = ReadMade(connection, deadline);
  // Servers that start together collide: PostgreSQL then reports that a name is
  // taken, in one of several ways, although IF NOT EXISTS was said. The
  // version, which is written last, is what counts.
  for (int tries = 0; !made.ok() || made->version == 0; ++tries) {
    if (!connection.usable()) return made.status();
    const absl::Status status = MakeTables(connection, shards, deadline);
    if (!connection.usable()) return status;
    if (!status.ok()) {
      if (tries == kMaxTries) return status;
      std::this_thread::sleep_for(kTryInterval);
    }
    made = ReadMade(connection, deadline);
  }
  if (made->version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the spool's tables have version ", made->version,
                     "; this server knows version ", kVersion));
  }
  if (made->shards != shards) {
    return absl::FailedPreconditionError(
        absl::StrCat("the spool was made with ", made->shards,
                     " shards, and --spool_shards "
                     "says ",
                     shards, ": it cannot be changed later"));
  }
  const SqlCommand rights[] = {{kCheckRights},
                               {kCheckServerRights},
                               {kCheckWriterRights},
                               {kCheckEntryRights}};
  return connection.RunTogether(rights, deadline).status();
}

}  // namespace heapsync
