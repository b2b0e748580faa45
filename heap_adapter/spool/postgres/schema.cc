#include "heap_adapter/spool/postgres/schema.h"

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

constexpr int32_t kVersion = 4;

// Of making the tables.
constexpr int kMaxTries = 10;
constexpr std::chrono::milliseconds kTryInterval{50};

constexpr SqlStatement kReadVersion{
    "read_version",
    "SELECT version, shards, databases, place, spool "
    "FROM heapsync_spool WHERE id = 1"};
// Of tables of any version.
constexpr SqlStatement kReadVersionAlone{
    "read_version_alone", "SELECT version FROM heapsync_spool WHERE id = 1"};
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
    "id int PRIMARY KEY, version int NOT NULL, shards int NOT NULL, "
    "databases int NOT NULL, place int NOT NULL, spool bigint NOT NULL)",
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
    "INSERT INTO heapsync_spool (id, version, shards, databases, place, spool) "
    "VALUES (1, $1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"};
constexpr SqlStatement kMakeShard{
    "make_shard",
    "INSERT INTO heapsync_shard (id, epoch, owner, last_write) "
    "SELECT $1::int, 0, 0, 0 WHERE $1::int < (SELECT "
    "(shards - place + databases - 1) / databases FROM heapsync_spool) "
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
  SpoolPart part;
};

absl::StatusOr<Made> ReadMade(PostgresConnection& connection,
                              SqlDeadline deadline) {
  const auto version = connection.Run({kReadVersionAlone}, deadline);
  if (!version.ok()) return version.status();
  if (version->rows() == 0) return Made();
  if (version->Int4(0, 0) != kVersion) {
    return Made{.version = version->Int4(0, 0), .part = {}};
  }
  const auto row = connection.Run({kReadVersion}, deadline);
  if (!row.ok()) return row.status();
  if (row->rows() == 0) return Made();
  return Made{.version = row->Int4(0, 0),
              .part = {.shards = row->Int4(0, 1),
                       .databases = row->Int4(0, 2),
                       .place = row->Int4(0, 3),
                       .spool_id = row->Int8(0, 4)}};
}

int64_t NewSpoolId() {
  const auto id = static_cast<int64_t>(
      ((uint64_t{std::random_device()()} << 32) | std::random_device()()) >> 1);
  return id == 0 ? 1 : id;
}

absl::Status MakeTables(PostgresConnection& connection, const SpoolPart& part,
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
      {kMakeSpool,
       SqlParameters()
           .Int4(kVersion)
           .Int4(part.shards)
           .Int4(part.databases)
           .Int4(part.place)
           .Int8(part.spool_id == 0 ? NewSpoolId() : part.spool_id)}};
  for (int32_t shard = 0; shard < part.OwnShards(); ++shard) {
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

absl::Status CheckMade(const Made& made, const SpoolPart& wanted) {
  const auto wrong = [](const auto&... what) {
    return absl::FailedPreconditionError(absl::StrCat(what...));
  };
  if (made.version != kVersion) {
    return wrong("the spool's tables have version ", made.version,
                 "; this server knows version ", kVersion);
  }
  const SpoolPart& part = made.part;
  if (part.shards != wanted.shards) {
    return wrong("the spool was made with ", part.shards,
                 " shards, and --spool_shards says ", wanted.shards,
                 ": it cannot be changed later");
  }
  if (part.databases != wanted.databases) {
    return wrong("the spool was made with ", part.databases,
                 part.databases == 1 ? " database" : " databases",
                 ", and --spool names ", wanted.databases,
                 ": it cannot be changed later");
  }
  if (part.place != wanted.place) {
    return wrong("this is database ", part.place + 1,
                 " of the spool, and --spool names it as number ",
                 wanted.place + 1,
                 ": none may be named twice, and their order is that in which "
                 "the spool was made");
  }
  if (wanted.spool_id != 0 && part.spool_id != wanted.spool_id) {
    return wrong(
        "this database belongs to another spool than the first one that "
        "--spool names");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> PrepareSchema(PostgresConnection& connection,
                                      const SpoolPart& part,
                                      SqlDeadline deadline) {
  if (absl::Status s = CheckSyncing(connection, deadline); !s.ok()) return s;
  absl::StatusOr<Made> made = ReadMade(connection, deadline);
  // Servers that start together collide: PostgreSQL then reports that a name is
  // taken, in one of several ways, although IF NOT EXISTS was said. The
  // version, which is written last, is what counts.
  for (int tries = 0; !made.ok() || made->version == 0; ++tries) {
    if (!connection.usable()) return made.status();
    const absl::Status status = MakeTables(connection, part, deadline);
    if (!connection.usable()) return status;
    if (!status.ok()) {
      if (tries == kMaxTries) return status;
      std::this_thread::sleep_for(kTryInterval);
    }
    made = ReadMade(connection, deadline);
  }
  if (absl::Status s = CheckMade(*made, part); !s.ok()) return s;
  const SqlCommand rights[] = {{kCheckRights},
                               {kCheckServerRights},
                               {kCheckWriterRights},
                               {kCheckEntryRights}};
  const absl::Status checked =
      connection.RunTogether(rights, deadline).status();
  if (!checked.ok()) return checked;
  return made->part.spool_id;
}

}  // namespace heapsync
