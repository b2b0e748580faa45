#include "heap_adapter/spool/rocksdb/opened_store.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/transaction_log.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/mutex.h"
#include "heap_adapter/spool/failed_cursor.h"
#include "heap_adapter/spool/rocksdb/log_file.h"

namespace heapsync {
namespace {

rocksdb::Slice ToSlice(absl::string_view text) {
  return rocksdb::Slice(text.data(), text.size());
}

absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
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
  // `mutex` is held shared, which keeps the database open, and released at the
  // end.
  RocksDbCursor(SharedMutex& mutex, rocksdb::DB& db, const DamageMark& mark,
                absl::string_view begin, absl::string_view end)
      : mutex_(mutex), mark_(mark), end_(end), upper_(end_) {
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper_;
    // Data is scanned once: caching it would only evict other blocks.
    options.fill_cache = false;
    iterator_.reset(db.NewIterator(options));
    iterator_->Seek(ToSlice(begin));
  }
  ~RocksDbCursor() override ABSL_NO_THREAD_SAFETY_ANALYSIS {
    iterator_.reset();
    mutex_.UnlockShared();
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
  SharedMutex& mutex_;
  const DamageMark& mark_;
  const std::string end_;
  const rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// While no database is open.
absl::Status NotOpen() {
  return absl::ResourceExhaustedError(
      "spool storage: waiting for space on the disk");
}

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
    const ReaderLock lock(mutex_);
    if (db_ == nullptr) return NotOpen();
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
    {
      const ReaderLock lock(mutex_);
      if (!HasSpaceToResume()) return NotOpen();
    }
    {
      const WriterLock lock(mutex_);
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
    const ReaderLock lock(mutex_);
    if (db_ != nullptr) space_.Reclaim(*db_, needs, BytesInMemory());
  }

  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    const ReaderLock lock(mutex_);
    if (db_ == nullptr) return NotOpen();
    std::string value;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return ToStatus(mark_.Heed(status));
    return value;
  }

  // Not analyzed, because the cursor keeps the lock.
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override
      ABSL_NO_THREAD_SAFETY_ANALYSIS {
    mutex_.LockShared();
    if (db_ == nullptr) {
      mutex_.UnlockShared();
      return std::make_unique<FailedCursor>(NotOpen());
    }
    return std::make_unique<RocksDbCursor>(mutex_, *db_, mark_, begin, end);
  }

  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    const ReaderLock lock(mutex_);
    if (db_ == nullptr) return NotOpen();
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
  std::string CurrentLog() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
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
  bool HasSpaceToResume() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return HasSpaceFor(2 * BytesInMemory(), *options_.env, path_);
  }

  uint64_t BytesInMemory() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
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
    const WriterLock lock(mutex_);
    db_.reset(db);
    space_.OnOpened(*db_);
    return absl::OkStatus();
  }

  const rocksdb::Options options_;
  const std::string path_;
  const DamageMark mark_;
  // Used by the writing thread only: the log to which a write failed, with a
  // leading slash, and the sequence number of the last change before the failed
  // one.
  std::string failed_log_;
  uint64_t last_good_ = 0;
  // Held shared while the database is used, and exclusively by the writing
  // thread to close and to open it.
  mutable SharedMutex mutex_;
  RocksDbSpace space_;
  std::unique_ptr<rocksdb::DB> db_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Store> MakeOpenedStore(rocksdb::Options options,
                                       std::string path,
                                       std::shared_ptr<CompactionGuard> guard,
                                       std::unique_ptr<rocksdb::DB> db,
                                       DamageReport report) {
  return std::make_unique<RocksDbStore>(std::move(options), std::move(path),
                                        std::move(guard), std::move(db),
                                        std::move(report));
}

}  // namespace heapsync
