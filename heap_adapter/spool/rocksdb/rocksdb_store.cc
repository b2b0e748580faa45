#include "heap_adapter/spool/rocksdb/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/transaction_log.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "heap_adapter/spool/rocksdb/log_file.h"
#include "heap_adapter/spool/rocksdb/repair.h"
#include "heap_adapter/spool/rocksdb/space.h"

namespace heapsync {
namespace {

rocksdb::Slice ToSlice(absl::string_view text) {
  return rocksdb::Slice(text.data(), text.size());
}

absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

// RocksDB has no status code for a lock that is held.
bool IsLocked(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return absl::StartsWith(text, "IO error: While lock file") ||
         absl::StartsWith(text, "IO error: lock hold by current process");
}

// True if a write failed for lack of space. RocksDB returns "incomplete" for a
// write that it would delay until a compaction has run, if the compaction found
// no space.
bool FoundNoSpace(const rocksdb::Status& status) {
  return status.IsNoSpace() || status.IsIncomplete();
}

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("spool storage: ", status.ToString());
  if (FoundNoSpace(status)) return absl::ResourceExhaustedError(text);
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (status.IsBusy()) return absl::UnavailableError(text);
  return absl::InternalError(text);
}

// Records on disk that a read found damage, so that the next start repairs it:
// damage cannot be skipped while the store is open. Any thread.
class DamageMark {
 public:
  DamageMark(rocksdb::Env& env, std::string path, DamageReport report)
      : env_(env), path_(std::move(path)), report_(std::move(report)) {}

  // Returns the given status of a read. An unreadable sector also counts as
  // damage; if it becomes readable again, the repair finds nothing to do.
  rocksdb::Status Heed(rocksdb::Status status) const {
    if ((status.IsCorruption() || status.IsIOError()) &&
        !marked_.exchange(true)) {
      MarkDamaged(env_, path_);
      report_(
          absl::StrCat("the spool is damaged and will be repaired at the next "
                       "start; until then the damaged items wait: ",
                       status.ToString()));
    }
    return status;
  }

 private:
  rocksdb::Env& env_;
  const std::string path_;
  const DamageReport report_;
  mutable std::atomic<bool> marked_{false};
};

class RocksDbCursor final : public StoreCursor {
 public:
  // `lock` keeps the database open.
  RocksDbCursor(std::shared_lock<std::shared_mutex> lock, rocksdb::DB& db,
                const DamageMark& mark, absl::string_view begin,
                absl::string_view end)
      : lock_(std::move(lock)), mark_(mark), end_(end), upper_(end_) {
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper_;
    // Data is scanned once: caching it would only evict other blocks.
    options.fill_cache = false;
    iterator_.reset(db.NewIterator(options));
    iterator_->Seek(ToSlice(begin));
  }

  bool Valid() const override { return iterator_->Valid(); }
  absl::string_view key() const override { return ToView(iterator_->key()); }
  absl::string_view value() const override {
    return ToView(iterator_->value());
  }
  void Next() override { iterator_->Next(); }
  absl::Status status() const override {
    return ToStatus(mark_.Heed(iterator_->status()));
  }

 private:
  const std::shared_lock<std::shared_mutex> lock_;
  const DamageMark& mark_;
  const std::string end_;
  const rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// The cursor while no database is open.
class NoCursor final : public StoreCursor {
 public:
  bool Valid() const override { return false; }
  absl::string_view key() const override { return {}; }
  absl::string_view value() const override { return {}; }
  void Next() override {}
  absl::Status status() const override { return NotOpen(); }
  static absl::Status NotOpen() {
    return absl::ResourceExhaustedError(
        "spool storage: waiting for space on the disk");
  }
};

class RocksDbStore final : public Store {
 public:
  RocksDbStore(rocksdb::Options options, std::string path,
               std::shared_ptr<CompactionGuard> guard,
               std::unique_ptr<rocksdb::DB> db, DamageReport report)
      : options_(std::move(options)),
        path_(std::move(path)),
        mark_(*options_.env, path_, report),
        space_(*options_.env, path_, std::move(guard), std::move(report)),
        db_(std::move(db)) {
    space_.OnOpened(*db_);
  }

  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    if (db_ == nullptr) return NoCursor::NotOpen();
    rocksdb::WriteBatch changes(batch.bytes() + 32 * batch.changes().size());
    for (const StoreBatch::Change& change : batch.changes()) {
      const rocksdb::Status added = change.value.has_value()
                                        ? changes.Put(change.key, *change.value)
                                        : changes.Delete(change.key);
      if (!added.ok()) return ToStatus(added);
    }
    rocksdb::WriteOptions options;
    options.sync = durability == Durability::kDisk;
    const rocksdb::Status written = db_->Write(options, &changes);
    if (FoundNoSpace(written)) {
      failed_log_ = CurrentLog();
      last_good_ = db_->GetLatestSequenceNumber();
    }
    return ToStatus(written.IsCorruption() ? mark_.Heed(written) : written);
  }

  // Reopens the database: its memory tables are recovered from the log, after
  // the failed end of the log is cut off. DB::Resume() is not usable: in
  // RocksDB 7.8 it waits forever for a flush that was about to start when the
  // write failed, and for one that finds no space.
  absl::Status Resume() override {
    if (!HasSpaceToResume()) return NoCursor::NotOpen();
    if (db_ != nullptr) {
      const std::unique_lock<std::shared_mutex> lock(mutex_);
      db_.reset();
    }
    if (!failed_log_.empty()) {
      const rocksdb::Status cut = CutFailedLog();
      if (!cut.ok()) return ToStatus(cut);
      failed_log_.clear();
    }
    return Reopen();
  }

  void ReclaimSpace(const SpaceNeeds& needs) override {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    if (db_ != nullptr) space_.Reclaim(*db_, needs, BytesInMemory());
  }

  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    if (db_ == nullptr) return NoCursor::NotOpen();
    std::string value;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return ToStatus(mark_.Heed(status));
    return value;
  }

  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    std::shared_lock<std::shared_mutex> lock(mutex_);
    if (db_ == nullptr) return std::make_unique<NoCursor>();
    return std::make_unique<RocksDbCursor>(std::move(lock), *db_, mark_, begin,
                                           end);
  }

  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    const std::shared_lock<std::shared_mutex> lock(mutex_);
    if (db_ == nullptr) return NoCursor::NotOpen();
    const rocksdb::Slice lower = ToSlice(begin);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &lower;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        db_->NewIterator(options));
    iterator->SeekForPrev(ToSlice(end));
    if (iterator->Valid() && iterator->key() == ToSlice(end)) iterator->Prev();
    if (!iterator->status().ok()) {
      return ToStatus(mark_.Heed(iterator->status()));
    }
    if (!iterator->Valid()) return std::nullopt;
    return std::make_pair(iterator->key().ToString(),
                          iterator->value().ToString());
  }

 private:
  // Name of the current log file, with a leading slash.
  std::string CurrentLog() {
    std::unique_ptr<rocksdb::LogFile> log;
    return db_->GetCurrentWalFile(&log).ok() ? log->PathName() : "";
  }

  // Keeps the part of the log that was written before the failed write, in a
  // new file: it is not known how much of the old one reached the disk.
  rocksdb::Status CutFailedLog() {
    rocksdb::Env& env = *options_.env;
    const std::string path = path_ + failed_log_;
    std::string bytes;
    rocksdb::Status status = rocksdb::ReadFileToString(&env, path, &bytes);
    if (status.IsPathNotFound() || status.IsNotFound()) {
      return rocksdb::Status::OK();
    }
    if (!status.ok()) return status;
    const LogFile log = ReadLogFile(bytes);
    uint64_t end = 0;
    for (size_t i = 0; i < log.records.size(); ++i) {
      if (SequenceOf(log.records[i]) > last_good_) break;
      end = log.ends[i];
    }
    // RocksDB removes files with this suffix when it opens.
    const std::string cut =
        absl::StrCat(absl::StripSuffix(path, ".log"), ".dbtmp");
    status = rocksdb::WriteStringToFile(&env, bytes.substr(0, end), cut,
                                        /*should_sync=*/true);
    if (!status.ok()) return status;
    return env.RenameFile(cut, path);
  }

  // Space is needed for the memory tables, which are written to a file and to a
  // log again.
  bool HasSpaceToResume() const {
    return HasSpaceFor(2 * BytesInMemory(), *options_.env, path_);
  }

  uint64_t BytesInMemory() const {
    uint64_t bytes = options_.write_buffer_size;
    if (db_ != nullptr) {
      db_->GetIntProperty("rocksdb.cur-size-all-mem-tables", &bytes);
    }
    return bytes;
  }

  absl::Status Reopen() {
    rocksdb::Options options = options_;
    options.disable_auto_compactions = !MayCompact(*options.env, path_);
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(options, path_, &db);
    if (!opened.ok()) {
      return ToStatus(opened.IsCorruption() ? mark_.Heed(opened) : opened);
    }
    const std::unique_lock<std::shared_mutex> lock(mutex_);
    db_.reset(db);
    space_.OnOpened(*db_);
    return absl::OkStatus();
  }

  const rocksdb::Options options_;
  const std::string path_;
  const DamageMark mark_;
  // Used by the writing thread only, which also is the only one to change db_:
  // the log to which a write failed, with a leading slash, and the sequence
  // number of the last change before the failed one.
  std::string failed_log_;
  uint64_t last_good_ = 0;
  // Held shared to read or to reclaim space, and exclusively by the writing
  // thread to change db_.
  mutable std::shared_mutex mutex_;
  RocksDbSpace space_;
  std::unique_ptr<rocksdb::DB> db_;
};

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
  return std::make_unique<RocksDbStore>(db_options, options.path, guard,
                                        std::unique_ptr<rocksdb::DB>(db),
                                        report);
}

}  // namespace heapsync
