#include "heap_adapter/spool/rocksdb/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <cstdarg>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "heap_adapter/spool/rocksdb/opened_store.h"

namespace heapsync {
namespace {

// RocksDB has no status code for a lock that is held.
bool IsLocked(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return absl::StartsWith(text, "IO error: While lock file") ||
         absl::StartsWith(text, "IO error: lock hold by current process");
}

// Disables RocksDB's automatic recovery, which would continue with a log to
// which a write has failed. We call Resume() once there is space.
class DisableAutoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

// Discards RocksDB's info log. It would be one more file to write on a failing
// or full disk, and Debian's build aborts the process after two failed writes
// to it. Everything important is returned as a status.
class NullLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

absl::Status OpeningError(const std::string& path,
                          const rocksdb::Status& status) {
  const std::string text =
      absl::StrCat("cannot open the spool at ", path, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (IsLocked(status)) {
    return absl::UnavailableError(
        absl::StrCat(text, " (is another server using it?)"));
  }
  return absl::InternalError(text);
}

// True if `status` means that files are damaged or missing, rather than
// temporarily unavailable.
bool MeansDamage(const rocksdb::Status& status) {
  return status.IsCorruption() || status.IsNotFound() ||
         status.IsPathNotFound() || status.IsInvalidArgument() ||
         status.IsNotSupported();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(
    const RocksDbStoreOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  table.block_size = 32 << 10;
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  // CRC-32C is several times slower in Debian's build, which cannot rely on the
  // CPU instruction for it.
  table.checksum = rocksdb::kXXH3;

  rocksdb::Options db_options;
  db_options.create_if_missing = true;
  if (options.env != nullptr) db_options.env = options.env;
  db_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  db_options.write_buffer_size = options.write_buffer_bytes;
  db_options.max_write_buffer_number = 2;
  db_options.max_background_jobs = 2;
  db_options.max_open_files = 256;
  db_options.compression = rocksdb::kLZ4Compression;
  db_options.level_compaction_dynamic_level_bytes = true;
  // A compaction rewrites its input before it deletes it. These settings bound
  // the space that this takes.
  db_options.target_file_size_base = options.write_buffer_bytes;
  db_options.max_bytes_for_level_base = 4 * options.write_buffer_bytes;
  db_options.max_compaction_bytes = kMaxCompactionBytes;
  // Files are synced incrementally as they grow, so that a sync of the log
  // never has to wait for a whole file.
  db_options.bytes_per_sync = 1 << 20;
  // A crash leaves a torn record at the end of the log, which is tolerated.
  // Damage anywhere else is an error.
  db_options.wal_recovery_mode =
      rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db_options.info_log = std::make_shared<NullLogger>();
  db_options.listeners.push_back(std::make_shared<DisableAutoRecovery>());
  const auto guard =
      std::make_shared<CompactionGuard>(*db_options.env, options.path);
  db_options.rate_limiter = guard;
  // RocksDB's default without a rate limiter.
  db_options.delayed_write_rate = 16 << 20;
  db_options.avoid_flush_during_shutdown = true;

  // A copy, because the store keeps it.
  const DamageReport report = [on_damage =
                                   options.on_damage](const std::string& line) {
    if (on_damage) on_damage(line);
  };
  rocksdb::Env& env = *db_options.env;
  if (absl::Status finished = FinishRepair(env, options.path); !finished.ok()) {
    return finished;
  }
  // Held during the inspection: another process may be writing the files.
  rocksdb::FileLock* lock = nullptr;
  rocksdb::Status status = env.CreateDirIfMissing(options.path);
  if (status.ok()) status = env.LockFile(options.path + "/LOCK", &lock);
  if (!status.ok()) return OpeningError(options.path, status);
  absl::Status repaired;
  const absl::StatusOr<std::string> found =
      FindDamage(env, options.path, report);
  if (!found.ok()) {
    env.UnlockFile(lock);
    return found.status();
  }
  std::string damage = *found;
  const auto repair = [&] {
    report(
        absl::StrCat("the spool at ", options.path, " is damaged: ", damage));
    repaired = RepairStore(db_options, options.path, report);
  };
  if (damage.empty()) {
    RemoveLeftovers(env, options.path);
  } else {
    repair();
  }
  env.UnlockFile(lock);
  if (!repaired.ok()) return repaired;

  db_options.disable_auto_compactions = !MayCompact(env, options.path);
  rocksdb::DB* db = nullptr;
  status = rocksdb::DB::Open(db_options, options.path, &db);
  if (!status.ok() && MeansDamage(status)) {
    damage = status.ToString();
    repair();
    if (!repaired.ok()) return repaired;
    status = rocksdb::DB::Open(db_options, options.path, &db);
  }
  if (!status.ok()) return OpeningError(options.path, status);
  return MakeOpenedStore(db_options, options.path, guard,
                         std::unique_ptr<rocksdb::DB>(db), report);
}

}  // namespace heapsync
