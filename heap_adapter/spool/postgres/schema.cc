#include "heap_adapter/spool/postgres/schema.h"

#include <chrono>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr int32_t kVersion = 2;

// Of making the tables.
constexpr int kMaxTries = 10;
constexpr std::chrono::milliseconds kTryInterval{50};

constexpr SqlStatement kReadVersion{
    "read_version", "SELECT version FROM heapsync_spool WHERE id = 1"};
constexpr SqlStatement kReadSyncing{"read_syncing", "SHOW synchronous_commit"};
constexpr SqlStatement kCheckRights{
    "check_rights", "UPDATE heapsync_shard SET epoch = epoch WHERE id = -1"};
constexpr SqlStatement kCheckWriterRights{
    "check_writer_rights", "DELETE FROM heapsync_writer WHERE id = -1"};
constexpr SqlStatement kCheckEntryRights{
    "check_entry_rights",
    "DELETE FROM heapsync_entry WHERE shard = -1 AND key = ''"};

// Plain SQL, which PostgreSQL's relatives know as well.
constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS heapsync_spool ("
    "id int PRIMARY KEY, version int NOT NULL, shards int NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_shard ("
    "id int PRIMARY KEY, epoch bigint NOT NULL, owner text NOT NULL, "
    "lease_until timestamp with time zone, last_write bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_writer ("
    "id bigint PRIMARY KEY, epoch bigint NOT NULL, last_write bigint NOT NULL, "
    "seen_at timestamp with time zone NOT NULL)",
    "CREATE TABLE IF NOT EXISTS heapsync_entry ("
    "shard int NOT NULL, key bytea NOT NULL, value bytea NOT NULL, "
    "PRIMARY KEY (shard, key))",
    "INSERT INTO heapsync_shard (id, epoch, owner, last_write) "
    "VALUES (0, 0, '', 0) ON CONFLICT DO NOTHING",
};
// Last: a spool with a version is complete.
constexpr char kVersionRow[] =
    "INSERT INTO heapsync_spool (id, version, shards) VALUES (1, 2, 1) "
    "ON CONFLICT DO NOTHING";

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
    "ALTER TABLE heapsync_writer SET (fillfactor = 10)",
};

absl::StatusOr<int32_t> ReadVersion(PostgresConnection& connection,
                                    SqlDeadline deadline) {
  const auto version = connection.Run({kReadVersion}, deadline);
  if (!version.ok()) return version.status();
  return version->rows() == 0 ? 0 : version->Int4(0, 0);
}

absl::Status MakeTables(PostgresConnection& connection, SqlDeadline deadline) {
  for (const char* table : kTables) {
    if (absl::Status s = connection.RunText(table, deadline); !s.ok()) return s;
  }
  for (const char* option : kTuning) {
    static_cast<void>(connection.RunText(option, deadline));
    if (!connection.usable()) {
      return absl::UnavailableError("the connection to the database was lost");
    }
  }
  return connection.RunText(kVersionRow, deadline);
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

absl::Status PrepareSchema(PostgresConnection& connection,
                           SqlDeadline deadline) {
  if (absl::Status s = CheckSyncing(connection, deadline); !s.ok()) return s;
  absl::StatusOr<int32_t> version = ReadVersion(connection, deadline);
  // Servers that start together collide: PostgreSQL then reports that a name is
  // taken, in one of several ways, although IF NOT EXISTS was said. The
  // version, which is written last, is what counts.
  for (int tries = 0; !version.ok() || *version == 0; ++tries) {
    if (!connection.usable()) return version.status();
    const absl::Status made = MakeTables(connection, deadline);
    if (!connection.usable()) return made;
    if (!made.ok()) {
      if (tries == kMaxTries) return made;
      std::this_thread::sleep_for(kTryInterval);
    }
    version = ReadVersion(connection, deadline);
  }
  if (*version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the spool's tables have version ", *version,
                     "; this server knows version ", kVersion));
  }
  const SqlCommand rights[] = {
      {kCheckRights}, {kCheckWriterRights}, {kCheckEntryRights}};
  return connection.RunTogether(rights, deadline).status();
}

}  // namespace heapsync
