#include "heap_adapter/spool/rocksdb_repair.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/utilities/debug.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "heap_adapter/spool/log_file.h"

namespace heapsync {
namespace {

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("spool repair: ", status.ToString());
  return status.IsNoSpace() ? absl::ResourceExhaustedError(text)
                            : absl::InternalError(text);
}

std::string MarkOf(const std::string& path) {
  return absl::StrCat(path, ".damaged");
}

std::string WorkOf(const std::string& path) {
  return absl::StrCat(path, ".repairing");
}

std::vector<std::string> FilesOf(rocksdb::Env& env, const std::string& path) {
  std::vector<std::string> names;
  // A folder that is not there has no files.
  static_cast<void>(env.GetChildren(path, &names));
  std::sort(names.begin(), names.end());
  return names;
}

// With what is in it, folders that RocksDB makes included.
void RemoveFolder(rocksdb::Env& env, const std::string& path) {
  for (const std::string& name : FilesOf(env, path)) {
    if (name == "." || name == "..") continue;
    const std::string child = absl::StrCat(path, "/", name);
    if (!env.DeleteFile(child).ok()) RemoveFolder(env, child);
  }
  static_cast<void>(env.DeleteDir(path));
}

bool IsTable(absl::string_view name) { return absl::EndsWith(name, ".sst"); }
bool IsLog(absl::string_view name) { return absl::EndsWith(name, ".log"); }

std::optional<LogFile> ReadLog(rocksdb::Env& env, const std::string& name) {
  std::string bytes;
  if (!rocksdb::ReadFileToString(&env, name, &bytes).ok()) return std::nullopt;
  return ReadLogFile(bytes);
}

std::string FindManifestDamage(rocksdb::Env& env, const std::string& path) {
  std::string current;
  const rocksdb::Status read =
      rocksdb::ReadFileToString(&env, path + "/CURRENT", &current);
  if (!read.ok()) {
    // A store that is only beginning has nothing yet that could be lost.
    for (const std::string& name : FilesOf(env, path)) {
      uint64_t size = 0;
      if (IsTable(name) ||
          (IsLog(name) && env.GetFileSize(path + "/" + name, &size).ok() &&
           size > 0)) {
        return "CURRENT is missing";
      }
    }
    return "";
  }
  absl::string_view name = current;
  if (!absl::ConsumeSuffix(&name, "\n") ||
      !absl::StartsWith(name, "MANIFEST-")) {
    return "CURRENT is damaged";
  }
  const auto manifest = ReadLog(env, absl::StrCat(path, "/", name));
  if (!manifest.has_value())
    return "the MANIFEST that CURRENT names is missing";
  if (manifest->records.empty() || manifest->damaged_bytes > 0 ||
      manifest->torn_bytes > 0) {
    return "the MANIFEST is damaged";
  }
  return "";
}

// Hard links where the file system has them: a store may be larger than the
// room that is left.
rocksdb::Status LinkOrCopy(rocksdb::Env& env, const std::string& from,
                           const std::string& to) {
  if (env.LinkFile(from, to).ok()) return rocksdb::Status::OK();
  std::string bytes;
  rocksdb::Status copied = rocksdb::ReadFileToString(&env, from, &bytes);
  if (!copied.ok()) return copied;
  return rocksdb::WriteStringToFile(&env, bytes, to, /*should_sync=*/true);
}

// Goes through what can be read of a table: behind a damaged stretch it looks
// for the next key that can be.
class TableSalvage {
 public:
  explicit TableSalvage(rocksdb::Iterator& iterator) : iterator_(iterator) {
    iterator_.SeekToFirst();
    if (!iterator_.Valid() && !iterator_.status().ok()) SkipDamage();
  }

  bool Valid() const { return iterator_.Valid(); }
  void Next() {
    last_ = iterator_.key().ToString();
    iterator_.Next();
    if (!iterator_.Valid() && !iterator_.status().ok()) SkipDamage();
  }
  uint64_t damaged_stretches() const { return damaged_stretches_; }

 private:
  // Keys are compared as fractions: this many bytes tell them apart.
  static constexpr size_t kPrecision = 32;

  bool CanReadAt(const std::string& key) {
    iterator_.Seek(key);
    return iterator_.Valid() || iterator_.status().ok();
  }

  static std::string Middle(const std::string& low, const std::string& high) {
    std::string sum(kPrecision, '\0');
    unsigned carry = 0;
    const auto byte = [](const std::string& text, size_t i) {
      return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u;
    };
    for (size_t i = kPrecision; i-- > 0;) {
      const unsigned both = byte(low, i) + byte(high, i) + carry;
      sum[i] = static_cast<char>(both & 0xff);
      carry = both >> 8;
    }
    std::string half(kPrecision, '\0');
    for (size_t i = 0; i < kPrecision; ++i) {
      const unsigned both = (carry << 8) | static_cast<uint8_t>(sum[i]);
      half[i] = static_cast<char>(both >> 1);
      carry = both & 1;
    }
    return half;
  }

  // Seeks to the first key behind the damage that can be read: the end of the
  // table always can.
  void SkipDamage() {
    ++damaged_stretches_;
    std::string low = last_;
    low.resize(kPrecision, '\0');
    std::string high(kPrecision, '\xff');
    while (true) {
      const std::string middle = Middle(low, high);
      if (middle <= low || middle >= high) break;
      (CanReadAt(middle) ? high : low) = middle;
    }
    iterator_.Seek(high);
    last_ = high;
  }

  rocksdb::Iterator& iterator_;
  std::string last_;
  uint64_t damaged_stretches_ = 0;
};

class Repair {
 public:
  Repair(const rocksdb::Options& options, std::string path,
         const DamageReport& report)
      : options_(options),
        env_(*options.env),
        path_(std::move(path)),
        work_(WorkOf(path_)),
        report_(report) {}

  // Everything is made ready in a folder of its own: a crash before the end
  // leaves the damaged store as it was, and the next start begins again.
  absl::Status Run() {
    absl::Status status = LinkTables();
    if (status.ok()) status = ReadLogs();
    if (status.ok()) status = RebuildManifest();
    if (status.ok()) status = FillIn();
    if (status.ok()) status = Exchange();
    return status;
  }

 private:
  absl::Status LinkTables() {
    RemoveFolder(env_, work_);
    rocksdb::Status status = env_.CreateDirIfMissing(work_);
    for (const std::string& name : FilesOf(env_, path_)) {
      if (!status.ok()) break;
      if (!IsTable(name)) continue;
      tables_.push_back(name);
      status = LinkOrCopy(env_, absl::StrCat(path_, "/", name),
                          absl::StrCat(work_, "/", name));
    }
    return ToStatus(status);
  }

  // The logs are read here, since RocksDB drops all that stands behind damage
  // in a block.
  absl::Status ReadLogs() {
    for (const std::string& name : FilesOf(env_, path_)) {
      if (!IsLog(name)) continue;
      const std::string file = absl::StrCat(path_, "/", name);
      auto log = ReadLog(env_, file);
      if (!log.has_value()) {
        report_(absl::StrCat(name, ": cannot be read"));
        continue;
      }
      if (log->damaged_bytes + log->torn_bytes > 0) {
        report_(absl::StrCat(name, ": ", log->damaged_bytes + log->torn_bytes,
                             " bytes of the log are damaged; items accepted "
                             "with them are lost"));
      }
      for (std::string& record : log->records) {
        if (record.size() >= 12) batches_.push_back(std::move(record));
      }
    }
    return absl::OkStatus();
  }

  absl::Status RebuildManifest() {
    const rocksdb::Status status = rocksdb::RepairDB(work_, options_);
    if (status.ok()) return absl::OkStatus();
    report_(absl::StrCat("RocksDB cannot repair it (", status.ToString(),
                         "); beginning a new one with what can be read"));
    RemoveFolder(env_, work_);
    return ToStatus(env_.CreateDirIfMissing(work_));
  }

  absl::Status FillIn() {
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options_, work_, &opened);
    if (!status.ok()) return ToStatus(status);
    const std::unique_ptr<rocksdb::DB> db(opened);
    std::set<std::string> left;
    for (const std::string& name : FilesOf(env_, work_)) left.insert(name);
    // What the tables hold was flushed from logs, and is not newer in them.
    const uint64_t in_tables = db->GetLatestSequenceNumber();
    for (const std::string& record : batches_) {
      uint64_t sequence = 0;
      for (size_t i = 8; i-- > 0;) {
        sequence = sequence << 8 | static_cast<uint8_t>(record[i]);
      }
      if (sequence <= in_tables && in_tables > 0) continue;
      rocksdb::WriteBatch batch(record);
      const rocksdb::Status written = db->Write({}, &batch);
      if (written.IsCorruption()) {
        report_("a record of the log is malformed and was passed over");
        continue;
      }
      if (!written.ok()) return ToStatus(written);
    }
    for (const std::string& name : tables_) {
      if (left.contains(name)) continue;
      if (absl::Status salvaged = Salvage(*db, name); !salvaged.ok()) {
        return salvaged;
      }
    }
    return ToStatus(db->Flush(rocksdb::FlushOptions()));
  }

  absl::Status Exchange() {
    const std::string time = absl::FormatTime(
        "%Y%m%dT%H%M%SZ",
        absl::FromUnixMicros(static_cast<int64_t>(env_.NowMicros())),
        absl::UTCTimeZone());
    std::string kept = absl::StrCat(path_, ".damaged-", time);
    for (int i = 2; env_.FileExists(kept).ok(); ++i) {
      kept = absl::StrCat(path_, ".damaged-", time, "-", i);
    }
    rocksdb::Status status = env_.RenameFile(path_, kept);
    if (status.ok()) status = env_.RenameFile(work_, path_);
    if (!status.ok()) return ToStatus(status);
    RemoveFolder(env_, path_ + "/lost");
    static_cast<void>(env_.DeleteFile(MarkOf(path_)));
    report_(absl::StrCat(
        "the spool was repaired; its files as they were are in ", kept));
    return absl::OkStatus();
  }

  absl::Status Salvage(rocksdb::DB& db, const std::string& name) {
    rocksdb::SstFileReader reader(options_);
    const std::string file = absl::StrCat(path_, "/", name);
    if (const rocksdb::Status read = reader.Open(file); !read.ok()) {
      uint64_t size = 0;
      static_cast<void>(env_.GetFileSize(file, &size));
      report_(absl::StrCat(name, ": nothing can be read (", read.ToString(),
                           "); ", size, " bytes are lost"));
      return absl::OkStatus();
    }
    const std::unique_ptr<rocksdb::Iterator> iterator(
        reader.NewIterator(rocksdb::ReadOptions()));
    TableSalvage entries(*iterator);
    uint64_t count = 0;
    for (; entries.Valid(); entries.Next()) {
      std::vector<rocksdb::KeyVersion> versions;
      const rocksdb::Status known = rocksdb::GetAllKeyVersions(
          &db, iterator->key(), iterator->key(), 1, &versions);
      if (!known.ok()) return ToStatus(known);
      // A version that is left may be a deletion, which must stay.
      if (!versions.empty()) continue;
      const rocksdb::Status put =
          db.Put({}, iterator->key(), iterator->value());
      if (!put.ok()) return ToStatus(put);
      ++count;
    }
    report_(absl::StrCat(name, ": damaged in ", entries.damaged_stretches(),
                         " places; ", count,
                         " records could still be read, the others are lost"));
    return absl::OkStatus();
  }

  rocksdb::Options options_;
  rocksdb::Env& env_;
  const std::string path_;
  const std::string work_;
  const DamageReport& report_;
  std::vector<std::string> tables_;
  std::vector<std::string> batches_;
};

}  // namespace

std::string FindDamage(rocksdb::Env& env, const std::string& path,
                       const DamageReport& report) {
  if (env.FileExists(MarkOf(path)).ok()) {
    return "damage was met while it was open";
  }
  if (std::string damage = FindManifestDamage(env, path); !damage.empty()) {
    return damage;
  }
  for (const std::string& name : FilesOf(env, path)) {
    if (!IsLog(name)) continue;
    const auto log = ReadLog(env, absl::StrCat(path, "/", name));
    if (!log.has_value()) return absl::StrCat(name, " cannot be read");
    if (log->damaged_bytes > 0) {
      return absl::StrCat(name, ": ", log->damaged_bytes,
                          " bytes in the middle of the log are damaged");
    }
    if (log->torn_bytes > 0) {
      report(absl::StrCat(name, ": the last ", log->torn_bytes,
                          " bytes of the log are no whole record. A crash "
                          "leaves that, and then nothing that was accepted is "
                          "missing; a failing disk could, too"));
    }
  }
  return "";
}

void FinishRepair(rocksdb::Env& env, const std::string& path) {
  if (!env.FileExists(path).ok() &&
      env.FileExists(WorkOf(path) + "/CURRENT").ok()) {
    static_cast<void>(env.RenameFile(WorkOf(path), path));
  }
}

void MarkDamaged(rocksdb::Env& env, const std::string& path) {
  static_cast<void>(rocksdb::WriteStringToFile(
      &env, "Repaired at the next start.\n", MarkOf(path),
      /*should_sync=*/true));
  std::unique_ptr<rocksdb::Directory> folder;
  if (env.NewDirectory(path.substr(0, path.rfind('/')), &folder).ok()) {
    static_cast<void>(folder->Fsync());
  }
}

absl::Status RepairStore(const rocksdb::Options& options,
                         const std::string& path, const DamageReport& report) {
  return Repair(options, path, report).Run();
}

}  // namespace heapsync
