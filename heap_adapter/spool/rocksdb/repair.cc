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

// In the store's own folder, so that it goes where the damaged files go.
std::string MarkOf(const std::string& path) {
  return absl::StrCat(path, "/DAMAGED");
}

// The new store while it is made, and each of the old tables by itself.
std::string WorkOf(const std::string& path) {
  return absl::StrCat(path, ".repairing");
}
std::string TablesOf(const std::string& path) {
  return absl::StrCat(path, ".repairing-tables");
}
// The new store, once it is whole.
std::string WholeOf(const std::string& path) {
  return absl::StrCat(path, ".repaired");
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

void SyncParentOf(const std::string& path, rocksdb::Env& env) {
  std::unique_ptr<rocksdb::Directory> folder;
  if (env.NewDirectory(path.substr(0, path.rfind('/')), &folder).ok()) {
    static_cast<void>(folder->Fsync());
  }
}

bool IsTable(absl::string_view name) { return absl::EndsWith(name, ".sst"); }
bool IsLog(absl::string_view name) { return absl::EndsWith(name, ".log"); }

// A file as far as it can be read.
struct FileBytes {
  std::string bytes;        // zero where a sector cannot be read
  uint64_t unreadable = 0;  // bytes in such sectors
};

// Errors: kNotFound; else nothing of it can be read now, which may pass.
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
    // A store that is only beginning has nothing yet that could be lost.
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

// Hard links where the file system has them: a store may be larger than the
// space that is left.
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

  // Everything is made ready in a folder of its own: a crash before the end
  // leaves the damaged store as it was, and the next start begins again.
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
          "; a repair needs as much space again as the spool's tables take"));
    }
    return status;
  }

 private:
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

  // The logs are read here, since RocksDB drops all that stands behind damage
  // in a block. Errors: those of reading them.
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

  // Where only logs are damaged: the tables, with the MANIFEST that tells of
  // them, and what the logs hold beyond them. False if they cannot be kept.
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
    // What the tables have was flushed from logs, of which some may be left.
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

  // Only of these it is sure that they are not left over from a merge. Of two
  // versions of a key the newer is on the level that is nearer to the first,
  // and there in the table that was written later.
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

  // Makes a new store of the newest version of each key. RocksDB's own repair
  // puts all tables on one level, where those that come from others are not in
  // the order of their ages: it refuses them.
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
    uint64_t tell_at = kTellEvery;
    absl::Status merged = MergeVersions(
        std::move(sources),
        live_.has_value() ? NewerBy::kSource : NewerBy::kSequence,
        [&](const Version& version) {
          bytes += version.key.size() + version.value.size();
          if (bytes >= tell_at) {
            report_(absl::StrCat("repairing the spool: ", bytes >> 20,
                                 " MiB so far"));
            tell_at += kTellEvery;
          }
          return ToStatus(db->Put(without_log, version.key, version.value));
        });
    if (!merged.ok()) return merged;
    return ToStatus(db->Flush(rocksdb::FlushOptions()));
  }

  // What a table says; null, with a report, if nothing of it can be read.
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
    // Reads all of it; where that fails, takes it out of the folder.
    status = rocksdb::RepairDB(folder, options_);
    if (status.ok() && env_.FileExists(absl::StrCat(folder, "/", name)).ok()) {
      return VersionsOfTable(options_, folder);
    }
    if (status.IsNoSpace()) return ToStatus(status);
    // What cannot be read for a reason that may pass is not given up.
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
                           " records of the log are malformed and "
                           "were passed over"));
    }
    return source;
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
    rocksdb::Status status = env_.RenameFile(work_, WholeOf(path_));
    if (status.ok()) status = env_.RenameFile(path_, kept);
    if (status.ok()) status = env_.RenameFile(WholeOf(path_), path_);
    if (!status.ok()) return ToStatus(status);
    SyncParentOf(path_, env_);
    report_(absl::StrCat(
        "the spool was repaired; its files as they were are in ", kept));
    RemoveDamagedCopies(env_, path_, kept, report_);
    return absl::OkStatus();
  }

  // How often it tells how far it is, in bytes.
  static constexpr uint64_t kTellEvery = uint64_t{1} << 30;

  const rocksdb::Options options_;
  rocksdb::Env& env_;
  const std::string path_;
  const std::string work_;
  const std::string tables_folder_;  // with a folder for each table
  const DamageReport& report_;
  std::vector<std::string> records_;  // of the logs
  // Tables, the oldest first, if the MANIFEST tells.
  std::optional<std::vector<std::string>> live_;
};

}  // namespace

absl::StatusOr<std::string> FindDamage(rocksdb::Env& env,
                                       const std::string& path,
                                       const DamageReport& report) {
  if (env.FileExists(MarkOf(path)).ok()) {
    return "damage was met while it was open";
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
                          " bytes of the log are no whole record. A crash "
                          "leaves that, and then nothing that was accepted is "
                          "missing; a failing disk could, too"));
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
                         const std::string& but, const DamageReport& report) {
  const size_t slash = path.rfind('/');
  const std::string parent =
      slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string prefix = absl::StrCat(
      slash == std::string::npos ? path : path.substr(slash + 1), ".damaged-");
  for (const std::string& name : FilesOf(env, parent)) {
    const std::string copy = absl::StrCat(parent, "/", name);
    if (!absl::StartsWith(name, prefix) || copy == but) continue;
    RemoveFolder(env, copy);
    report(absl::StrCat("removed ", copy,
                        ", the files of a spool that has been repaired"));
  }
}

absl::Status RepairStore(const rocksdb::Options& options,
                         const std::string& path, const DamageReport& report) {
  return Repair(options, path, report).Run();
}

}  // namespace heapsync
