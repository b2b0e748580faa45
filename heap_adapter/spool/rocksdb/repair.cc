// Repair of a damaged RocksDB database.
//
// FindDamage() decides whether a repair is needed, before the database is
// opened. RepairStore() then does the following:
//
// 1. Read the records of all write-ahead logs with our own parser, because
//    RocksDB drops everything that follows damage in a block. A file that
//    cannot be read at all, for a reason that may pass, ends the repair.
// 2. If CURRENT and the MANIFEST are intact, link the tables into
//    "<path>.repairing", copy CURRENT and the MANIFEST there, and open that
//    database. If every table's checksums hold, write the log records that are
//    newer than the tables. The repair then continues with step 5.
// 3. Otherwise open each table on its own, in "<path>.repairing-tables": the
//    live tables if the MANIFEST names them, else all of them. Entries of a
//    damaged table are salvaged around the damage.
// 4. Merge all tables and the log records, and write the newest version of each
//    key to a new database in "<path>.repairing".
// 5. Rename the new database to "<path>.repaired", the damaged one to
//    "<path>.damaged-<time>", and the new one to "<path>". Then remove the
//    copies that earlier repairs kept.
//
// Until step 5 the damaged database is only read, so after a crash the next
// start begins again. FinishRepair() completes step 5 after a crash between the
// last two renames. If the disk is full, earlier copies are removed and steps 2
// to 4 are repeated once.

#include "heap_adapter/spool/rocksdb/repair.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "heap_adapter/spool/rocksdb/log_file.h"
#include "heap_adapter/spool/rocksdb/versions.h"

namespace heapsync {
namespace {

absl::Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("spool repair: ", status.ToString());
  return status.IsNoSpace() ? absl::ResourceExhaustedError(text)
                            : absl::InternalError(text);
}

// Marks damage found while the store was open. Inside the store's folder, so
// that it moves away with the damaged files.
std::string MarkOf(const std::string& path) {
  return absl::StrCat(path, "/DAMAGED");
}

// The new store while it is being written.
std::string WorkOf(const std::string& path) {
  return absl::StrCat(path, ".repairing");
}
// Holds one folder for each of the old tables.
std::string TablesOf(const std::string& path) {
  return absl::StrCat(path, ".repairing-tables");
}
// The new store once it is complete.
std::string WholeOf(const std::string& path) {
  return absl::StrCat(path, ".repaired");
}

std::vector<std::string> FilesOf(rocksdb::Env& env, const std::string& path) {
  std::vector<std::string> names;
  // A missing folder has no files.
  static_cast<void>(env.GetChildren(path, &names));
  std::sort(names.begin(), names.end());
  return names;
}

// Removes the folder with its contents, including folders made by RocksDB.
void RemoveFolder(rocksdb::Env& env, const std::string& path) {
  for (const std::string& name : FilesOf(env, path)) {
    if (name == "." || name == "..") continue;
    const std::string child = absl::StrCat(path, "/", name);
    if (!env.DeleteFile(child).ok()) RemoveFolder(env, child);
  }
  static_cast<void>(env.DeleteDir(path));
}

void SyncParentOf(const std::string& path, rocksdb::Env& env) {
  std::unique_ptr<rocksdb::Directory> folder;
  if (env.NewDirectory(path.substr(0, path.rfind('/')), &folder).ok()) {
    static_cast<void>(folder->Fsync());
  }
}

bool IsTable(absl::string_view name) { return absl::EndsWith(name, ".sst"); }
bool IsLog(absl::string_view name) { return absl::EndsWith(name, ".log"); }

// The readable contents of a file.
struct FileBytes {
  std::string bytes;        // zeros in place of unreadable sectors
  uint64_t unreadable = 0;  // bytes in unreadable sectors
};

// Reads a file, skipping unreadable sectors. Errors: kNotFound if it is
// missing; otherwise nothing of it can be read, perhaps only temporarily.
absl::StatusOr<FileBytes> ReadAround(rocksdb::Env& env,
                                     const std::string& name) {
  FileBytes result;
  rocksdb::Status status = rocksdb::ReadFileToString(&env, name, &result.bytes);
  if (status.ok()) return result;
  if (status.IsPathNotFound() || status.IsNotFound()) {
    return absl::NotFoundError(absl::StrCat(name, " is missing"));
  }
  constexpr size_t kSector = 4'096;
  uint64_t size = 0;
  std::unique_ptr<rocksdb::RandomAccessFile> file;
  if (status = env.GetFileSize(name, &size); !status.ok()) {
    return ToStatus(status);
  }
  status = env.NewRandomAccessFile(name, &file, rocksdb::EnvOptions());
  if (!status.ok()) return ToStatus(status);
  result.bytes.assign(size, '\0');
  for (uint64_t at = 0; at < size; at += kSector) {
    const size_t count = std::min<uint64_t>(kSector, size - at);
    rocksdb::Slice read;
    char scratch[kSector];
    status = file->Read(at, count, &read, scratch);
    if (status.ok()) {
      result.bytes.replace(at, read.size(), read.data(), read.size());
    } else {
      result.unreadable += count;
    }
  }
  if (result.unreadable == size) return ToStatus(status);
  return result;
}

absl::StatusOr<LogFile> ReadLog(rocksdb::Env& env, const std::string& name) {
  const absl::StatusOr<FileBytes> file = ReadAround(env, name);
  if (!file.ok()) return file.status();
  LogFile log = ReadLogFile(file->bytes);
  log.damaged_bytes = std::max(log.damaged_bytes, file->unreadable);
  return log;
}

absl::StatusOr<std::string> FindManifestDamage(rocksdb::Env& env,
                                               const std::string& path) {
  const absl::StatusOr<FileBytes> current = ReadAround(env, path + "/CURRENT");
  if (absl::IsNotFound(current.status())) {
    // A store that is still being created has nothing to lose.
    for (const std::string& name : FilesOf(env, path)) {
      uint64_t size = 0;
      if (IsTable(name) ||
          (IsLog(name) &&
           env.GetFileSize(absl::StrCat(path, "/", name), &size).ok() &&
           size > 0)) {
        return "CURRENT is missing";
      }
    }
    return "";
  }
  if (!current.ok()) return current.status();
  absl::string_view name = current->bytes;
  if (!absl::ConsumeSuffix(&name, "\n") ||
      !absl::StartsWith(name, "MANIFEST-")) {
    return "CURRENT is damaged";
  }
  const auto manifest = ReadLog(env, absl::StrCat(path, "/", name));
  if (absl::IsNotFound(manifest.status())) {
    return "the MANIFEST that CURRENT names is missing";
  }
  if (!manifest.ok()) return manifest.status();
  if (manifest->records.empty() || manifest->damaged_bytes > 0 ||
      manifest->torn_bytes > 0) {
    return "the MANIFEST is damaged";
  }
  return "";
}

rocksdb::Status Copy(rocksdb::Env& env, const std::string& from,
                     const std::string& to) {
  std::string bytes;
  rocksdb::Status copied = rocksdb::ReadFileToString(&env, from, &bytes);
  if (!copied.ok()) return copied;
  return rocksdb::WriteStringToFile(&env, bytes, to, /*should_sync=*/true);
}

// Makes a hard link if the file system supports them, because the store may be
// larger than the free space.
rocksdb::Status LinkOrCopy(rocksdb::Env& env, const std::string& from,
                           const std::string& to) {
  if (env.LinkFile(from, to).ok()) return rocksdb::Status::OK();
  return Copy(env, from, to);
}

class Repair {
 public:
  Repair(const rocksdb::Options& options, std::string path,
         const DamageReport& report)
      : options_(options),
        env_(*options.env),
        path_(std::move(path)),
        work_(WorkOf(path_)),
        tables_folder_(TablesOf(path_)),
        report_(report) {}

  // Runs the steps described at the top of this file.
  absl::Status Run() {
    if (absl::Status read = ReadLogs(); !read.ok()) return read;
    absl::Status status = MakeReady();
    if (absl::IsResourceExhausted(status)) {
      RemoveDamagedCopies(env_, path_, "", report_);
      status = MakeReady();
    }
    if (status.ok()) return Exchange();
    RemoveLeftovers(env_, path_);
    if (absl::IsResourceExhausted(status)) {
      return absl::ResourceExhaustedError(absl::StrCat(
          status.message(),
          "; a repair needs free space of the size of the spool's tables"));
    }
    return status;
  }

 private:
  // Writes the new store: steps 2 to 4.
  absl::Status MakeReady() {
    RemoveLeftovers(env_, path_);
    live_.reset();
    const absl::StatusOr<bool> kept = KeepTables();
    if (!kept.ok()) return kept.status();
    absl::Status status = *kept ? absl::OkStatus() : Rebuild();
    RemoveFolder(env_, tables_folder_);
    return status;
  }

  std::vector<std::string> NamesOf(bool (*is)(absl::string_view)) const {
    std::vector<std::string> names = FilesOf(env_, path_);
    std::erase_if(names, [is](const std::string& name) { return !is(name); });
    return names;
  }

  // Step 1. Errors: a log of which nothing can be read.
  absl::Status ReadLogs() {
    for (const std::string& name : NamesOf(IsLog)) {
      const std::string file = absl::StrCat(path_, "/", name);
      auto log = ReadLog(env_, file);
      if (!log.ok()) return log.status();
      if (log->damaged_bytes + log->torn_bytes > 0) {
        report_(absl::StrCat(name, ": ", log->damaged_bytes + log->torn_bytes,
                             " bytes of the log are damaged; items accepted "
                             "with them are lost"));
      }
      for (std::string& record : log->records) {
        if (record.size() >= 12) records_.push_back(std::move(record));
      }
    }
    return absl::OkStatus();
  }

  // Step 2. False if the MANIFEST or the tables are damaged.
  absl::StatusOr<bool> KeepTables() {
    std::string current;
    const absl::StatusOr<std::string> damage = FindManifestDamage(env_, path_);
    if (!damage.ok()) return damage.status();
    if (!damage->empty() ||
        !rocksdb::ReadFileToString(&env_, path_ + "/CURRENT", &current).ok()) {
      return false;
    }
    rocksdb::Status status = env_.CreateDirIfMissing(work_);
    for (const std::string& name : NamesOf(IsTable)) {
      if (!status.ok()) break;
      status = LinkOrCopy(env_, absl::StrCat(path_, "/", name),
                          absl::StrCat(work_, "/", name));
    }
    current.pop_back();
    for (const std::string& name : {current, std::string("CURRENT")}) {
      if (!status.ok()) break;
      status = Copy(env_, absl::StrCat(path_, "/", name),
                    absl::StrCat(work_, "/", name));
    }
    if (!status.ok()) return ToStatus(status);
    rocksdb::DB* opened = nullptr;
    rocksdb::Options as_it_was = options_;
    as_it_was.disable_auto_compactions = true;
    status = rocksdb::DB::Open(as_it_was, work_, &opened);
    const std::unique_ptr<rocksdb::DB> db(opened);
    if (!status.ok()) return false;
    NoteLiveTables(*db);
    // Logs whose records were already flushed to tables may still exist.
    const uint64_t in_tables = db->GetLatestSequenceNumber();
    std::erase_if(records_, [in_tables](const std::string& record) {
      return SequenceOf(record) <= in_tables;
    });
    if (!db->VerifyChecksum().ok()) return false;
    const std::unique_ptr<VersionSource> log = LogSource();
    rocksdb::WriteOptions without_log;
    without_log.disableWAL = true;
    while (true) {
      const auto version = log->Next();
      if (!version.ok()) return version.status();
      if (!version->has_value()) break;
      status = (*version)->deleted
                   ? db->Delete(without_log, (*version)->key)
                   : db->Put(without_log, (*version)->key, (*version)->value);
      if (!status.ok()) return ToStatus(status);
    }
    if (status = db->Flush(rocksdb::FlushOptions()); !status.ok()) {
      return ToStatus(status);
    }
    return true;
  }

  // Lists the tables that are known not to be obsolete inputs of a compaction,
  // the oldest first. The newer of two versions of a key is on the level closer
  // to level 0; within a level, in the table that was written later.
  void NoteLiveTables(rocksdb::DB& db) {
    std::vector<rocksdb::LiveFileMetaData> files;
    db.GetLiveFilesMetaData(&files);
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
      if (a.level != b.level) return a.level > b.level;
      return a.largest_seqno < b.largest_seqno;
    });
    live_.emplace();
    for (const rocksdb::LiveFileMetaData& file : files) {
      live_->emplace_back(absl::StripPrefix(file.name, "/"));
    }
  }

  // Steps 3 and 4. RocksDB's own repair is not usable here: it puts all tables
  // on one level, where tables from other levels are not ordered by age, and
  // then refuses them.
  absl::Status Rebuild() {
    RemoveFolder(env_, work_);
    std::vector<std::unique_ptr<VersionSource>> sources;
    for (const std::string& name :
         live_.has_value() ? *live_ : NamesOf(IsTable)) {
      absl::StatusOr<std::unique_ptr<VersionSource>> table = OpenTable(name);
      if (!table.ok()) return table.status();
      if (*table != nullptr) sources.push_back(*std::move(table));
    }
    sources.push_back(LogSource());

    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options_, work_, &opened);
    if (!status.ok()) return ToStatus(status);
    const std::unique_ptr<rocksdb::DB> db(opened);
    rocksdb::WriteOptions without_log;
    without_log.disableWAL = true;
    uint64_t bytes = 0;
    uint64_t report_at = kReportEvery;
    absl::Status merged = MergeVersions(
        std::move(sources),
        live_.has_value() ? NewerBy::kSource : NewerBy::kSequence,
        [&](const Version& version) {
          bytes += version.key.size() + version.value.size();
          if (bytes >= report_at) {
            report_(absl::StrCat("repairing the spool: ", bytes >> 20,
                                 " MiB so far"));
            report_at += kReportEvery;
          }
          return ToStatus(db->Put(without_log, version.key, version.value));
        });
    if (!merged.ok()) return merged;
    return ToStatus(db->Flush(rocksdb::FlushOptions()));
  }

  // The versions of keys in a table. Null, with a report, if all of it is
  // damaged. Errors: it cannot be read now, or the disk is full.
  absl::StatusOr<std::unique_ptr<VersionSource>> OpenTable(
      const std::string& name) {
    const std::string file = absl::StrCat(path_, "/", name);
    const std::string folder = absl::StrCat(tables_folder_, "/", name);
    rocksdb::Status status = env_.CreateDirIfMissing(tables_folder_);
    if (status.ok()) status = env_.CreateDirIfMissing(folder);
    if (status.ok()) {
      status = LinkOrCopy(env_, file, absl::StrCat(folder, "/", name));
    }
    if (!status.ok()) return ToStatus(status);
    // RepairDB() reads the whole table, and removes it from the folder if that
    // fails.
    status = rocksdb::RepairDB(folder, options_);
    if (status.ok() && env_.FileExists(absl::StrCat(folder, "/", name)).ok()) {
      return VersionsOfTable(options_, folder);
    }
    if (status.IsNoSpace()) return ToStatus(status);
    // A table that cannot be read for a temporary reason is not given up.
    if (const auto bytes = ReadAround(env_, file); !bytes.ok()) {
      return bytes.status();
    }
    auto salvaged = SalvageTable(
        options_, file, [this, name](uint64_t stretches, uint64_t entries) {
          report_(absl::StrCat(
              name, ": damaged in ", stretches, " places; ", entries,
              " records could still be read, the others are lost"));
        });
    if (salvaged.ok()) return *std::move(salvaged);
    uint64_t size = 0;
    static_cast<void>(env_.GetFileSize(file, &size));
    report_(absl::StrCat(name, ": nothing can be read (",
                         salvaged.status().message(), "); ", size,
                         " bytes are lost"));
    return nullptr;
  }

  std::unique_ptr<VersionSource> LogSource() {
    uint64_t malformed = 0;
    std::unique_ptr<VersionSource> source = VersionsOfLogs(records_, malformed);
    if (malformed > 0) {
      report_(absl::StrCat(malformed,
                           " records of the log are malformed and were "
                           "skipped"));
    }
    return source;
  }

  // Step 5.
  absl::Status Exchange() {
    const std::string time = absl::FormatTime(
        "%Y%m%dT%H%M%SZ",
        absl::FromUnixMicros(static_cast<int64_t>(env_.NowMicros())),
        absl::UTCTimeZone());
    std::string kept = absl::StrCat(path_, ".damaged-", time);
    for (int i = 2; env_.FileExists(kept).ok(); ++i) {
      kept = absl::StrCat(path_, ".damaged-", time, "-", i);
    }
    rocksdb::Status status = env_.RenameFile(work_, WholeOf(path_));
    if (status.ok()) status = env_.RenameFile(path_, kept);
    if (status.ok()) status = env_.RenameFile(WholeOf(path_), path_);
    if (!status.ok()) return ToStatus(status);
    SyncParentOf(path_, env_);
    report_(absl::StrCat("the spool was repaired; its original files are in ",
                         kept));
    RemoveDamagedCopies(env_, path_, kept, report_);
    return absl::OkStatus();
  }

  // Progress is reported after each of this many bytes.
  static constexpr uint64_t kReportEvery = uint64_t{1} << 30;

  const rocksdb::Options options_;
  rocksdb::Env& env_;
  const std::string path_;
  const std::string work_;
  const std::string tables_folder_;  // with a folder for each table
  const DamageReport& report_;
  std::vector<std::string> records_;  // of the logs
  // The live tables, the oldest first, if the MANIFEST is intact.
  std::optional<std::vector<std::string>> live_;
};

}  // namespace

absl::StatusOr<std::string> FindDamage(rocksdb::Env& env,
                                       const std::string& path,
                                       const DamageReport& report) {
  if (env.FileExists(MarkOf(path)).ok()) {
    return "damage was found while it was open";
  }
  absl::StatusOr<std::string> damage = FindManifestDamage(env, path);
  if (!damage.ok() || !damage->empty()) return damage;
  for (const std::string& name : FilesOf(env, path)) {
    if (!IsLog(name)) continue;
    const auto log = ReadLog(env, absl::StrCat(path, "/", name));
    if (!log.ok()) return log.status();
    if (log->damaged_bytes > 0) {
      return absl::StrCat(name, ": ", log->damaged_bytes,
                          " bytes in the middle of the log are damaged");
    }
    if (log->torn_bytes > 0) {
      report(absl::StrCat(name, ": the last ", log->torn_bytes,
                          " bytes of the log are an incomplete record. This is "
                          "normal after a crash, and then no accepted item is "
                          "missing; a failing disk could also cause it"));
    }
  }
  return "";
}

absl::Status FinishRepair(rocksdb::Env& env, const std::string& path) {
  if (env.FileExists(path).ok() ||
      !env.FileExists(WholeOf(path) + "/CURRENT").ok()) {
    return absl::OkStatus();
  }
  return ToStatus(env.RenameFile(WholeOf(path), path));
}

void MarkDamaged(rocksdb::Env& env, const std::string& path) {
  static_cast<void>(rocksdb::WriteStringToFile(
      &env, "Repaired at the next start.\n", MarkOf(path),
      /*should_sync=*/true));
  SyncParentOf(MarkOf(path), env);
}

void RemoveLeftovers(rocksdb::Env& env, const std::string& path) {
  for (const std::string& folder :
       {WorkOf(path), TablesOf(path), WholeOf(path)}) {
    RemoveFolder(env, folder);
  }
}

void RemoveDamagedCopies(rocksdb::Env& env, const std::string& path,
                         const std::string& keep, const DamageReport& report) {
  const size_t slash = path.rfind('/');
  const std::string parent =
      slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string prefix = absl::StrCat(
      slash == std::string::npos ? path : path.substr(slash + 1), ".damaged-");
  for (const std::string& name : FilesOf(env, parent)) {
    const std::string copy = absl::StrCat(parent, "/", name);
    if (!absl::StartsWith(name, prefix) || copy == keep) continue;
    RemoveFolder(env, copy);
    report(absl::StrCat("removed ", copy,
                        ", the original files of a spool that was repaired"));
  }
}

absl::Status RepairStore(const rocksdb::Options& options,
                         const std::string& path, const DamageReport& report) {
  return Repair(options, path, report).Run();
}

}  // namespace heapsync
