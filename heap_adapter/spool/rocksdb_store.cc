#include "heap_adapter/spool/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

rocksdb::Slice ToSlice(absl::string_view text) {
  return rocksdb::Slice(text.data(), text.size());
}

absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

// RocksDB has no code for it.
bool IsLocked(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return absl::StartsWith(text, "IO error: While lock file") ||
         absl::StartsWith(text, "IO error: lock hold by current process");
}

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("spool storage: ", status.ToString());
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (status.IsBusy()) return absl::UnavailableError(text);
  return absl::InternalError(text);
}

class RocksDbCursor final : public StoreCursor {
 public:
  RocksDbCursor(rocksdb::DB& db, absl::string_view begin, absl::string_view end)
      : end_(end), upper_(end_) {
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper_;
    // What is read here is read once: keeping it would only displace the rest.
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
  absl::Status status() const override { return ToStatus(iterator_->status()); }

 private:
  const std::string end_;
  const rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksDbStore final : public Store {
 public:
  explicit RocksDbStore(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    rocksdb::WriteBatch changes(batch.bytes() + 32 * batch.changes().size());
    for (const StoreBatch::Change& change : batch.changes()) {
      const rocksdb::Status added = change.value.has_value()
                                        ? changes.Put(change.key, *change.value)
                                        : changes.Delete(change.key);
      if (!added.ok()) return ToStatus(added);
    }
    rocksdb::WriteOptions options;
    options.sync = durability == Durability::kDisk;
    return ToStatus(db_->Write(options, &changes));
  }

  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    std::string value;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return ToStatus(status);
    return value;
  }

  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    return std::make_unique<RocksDbCursor>(*db_, begin, end);
  }

  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    const rocksdb::Slice lower = ToSlice(begin);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &lower;
    const std::unique_ptr<rocksdb::Iterator> iterator(
        db_->NewIterator(options));
    iterator->SeekForPrev(ToSlice(end));
    if (iterator->Valid() && iterator->key() == ToSlice(end)) iterator->Prev();
    if (!iterator->status().ok()) return ToStatus(iterator->status());
    if (!iterator->Valid()) return std::nullopt;
    return std::make_pair(iterator->key().ToString(),
                          iterator->value().ToString());
  }

 private:
  const std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(
    const RocksDbStoreOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  table.block_size = 32 << 10;
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;

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
  // A torn record at the end of the log is what a crash leaves; damage anywhere
  // else is not explained away.
  db_options.wal_recovery_mode =
      rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db_options.keep_log_file_num = 2;
  db_options.max_log_file_size = 1 << 20;
  db_options.info_log_level = rocksdb::WARN_LEVEL;
  db_options.avoid_flush_during_shutdown = true;

  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, options.path, &db);
  if (!status.ok()) {
    const std::string text = absl::StrCat(
        "cannot open the spool at ", options.path, ": ", status.ToString());
    if (status.IsCorruption()) return absl::DataLossError(text);
    if (IsLocked(status)) {
      return absl::UnavailableError(
          absl::StrCat(text, " (is another server using it?)"));
    }
    return absl::InternalError(text);
  }
  return std::make_unique<RocksDbStore>(std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace heapsync
