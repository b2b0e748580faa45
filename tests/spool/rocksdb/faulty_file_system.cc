#include "tests/spool/rocksdb/faulty_file_system.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace heapsync {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

namespace {

// RocksDB writes some paths with two slashes, or one at the end.
std::string Clean(const std::string& path) {
  std::string clean;
  for (const char c : path) {
    if (c != '/' || clean.empty() || clean.back() != '/') clean += c;
  }
  if (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  return clean;
}

bool LiesIn(const std::string& name, const std::string& folder) {
  return name.size() > folder.size() + 1 &&
         name.compare(0, folder.size(), folder) == 0 &&
         name[folder.size()] == '/' &&
         name.find('/', folder.size() + 1) == std::string::npos;
}

IOStatus Missing(const std::string& name) {
  return IOStatus::PathNotFound(name, "no such file");
}

}  // namespace

class FaultyFileSystem::Sequential final : public rocksdb::FSSequentialFile {
 public:
  Sequential(FaultyFileSystem& disk, std::shared_ptr<File> file)
      : disk_(disk), file_(std::move(file)) {}

  IOStatus Read(size_t n, const IOOptions&, rocksdb::Slice* result,
                char* scratch, IODebugContext*) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    at_ = std::min(at_, file_->bytes.size());
    if (disk_.FailsToRead(*file_, at_, n)) return ErrorOf(DiskFault::kError);
    const size_t count = std::min(n, file_->bytes.size() - at_);
    std::copy_n(file_->bytes.data() + at_, count, scratch);
    *result = rocksdb::Slice(scratch, count);
    at_ += count;
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t n) override {
    at_ += n;
    return IOStatus::OK();
  }

 private:
  FaultyFileSystem& disk_;
  const std::shared_ptr<File> file_;
  size_t at_ = 0;
};

class FaultyFileSystem::RandomAccess final
    : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccess(FaultyFileSystem& disk, std::shared_ptr<File> file)
      : disk_(disk), file_(std::move(file)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&,
                rocksdb::Slice* result, char* scratch,
                IODebugContext*) const override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    if (disk_.FailsToRead(*file_, offset, n)) {
      return ErrorOf(DiskFault::kError);
    }
    const size_t at = std::min<size_t>(offset, file_->bytes.size());
    const size_t count = std::min(n, file_->bytes.size() - at);
    std::copy_n(file_->bytes.data() + at, count, scratch);
    *result = rocksdb::Slice(scratch, count);
    return IOStatus::OK();
  }

 private:
  FaultyFileSystem& disk_;
  const std::shared_ptr<File> file_;
};

class FaultyFileSystem::Writable final : public rocksdb::FSWritableFile {
 public:
  Writable(FaultyFileSystem& disk, std::shared_ptr<File> file)
      : disk_(disk), file_(std::move(file)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions&,
                  IODebugContext*) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    const uint64_t free = disk_.FreeBytes();
    if (data.size() > free) return ErrorOf(DiskFault::kNoSpace);
    disk_.min_free_bytes_ = std::min(disk_.min_free_bytes_, free - data.size());
    const std::optional<DiskFault> fault = disk_.Meet(Kind::kGrows);
    if (fault == DiskFault::kShortWrite || fault == DiskFault::kNoSpace) {
      file_->bytes.append(data.data(), data.size() / 2);
    } else if (!fault.has_value() || fault == DiskFault::kCrash) {
      file_->bytes.append(data.data(), data.size());
    }
    return fault.has_value() ? ErrorOf(*fault) : IOStatus::OK();
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&,
                  IODebugContext* context) override {
    return Append(data, options, context);
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    file_->bytes.resize(size);
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    const std::optional<DiskFault> fault = disk_.Meet(Kind::kSyncs);
    if (!fault.has_value() || fault == DiskFault::kCrash) {
      file_->Sync();
    } else {
      file_->dropped.emplace_back(file_->synced.size(), file_->bytes.size());
    }
    return fault.has_value() ? ErrorOf(*fault) : IOStatus::OK();
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    return file_->bytes.size();
  }

 private:
  FaultyFileSystem& disk_;
  const std::shared_ptr<File> file_;
};

class FaultyFileSystem::Folder final : public rocksdb::FSDirectory {
 public:
  Folder(FaultyFileSystem& disk, std::string name)
      : disk_(disk), name_(std::move(name)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    const std::lock_guard<std::mutex> lock(disk_.mutex_);
    const std::optional<DiskFault> fault = disk_.Meet(Kind::kSyncs);
    if (!fault.has_value() || fault == DiskFault::kCrash) {
      disk_.SyncNames(name_);
    }
    return fault.has_value() ? ErrorOf(*fault) : IOStatus::OK();
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  FaultyFileSystem& disk_;
  const std::string name_;
};

std::optional<DiskFault> FaultyFileSystem::Meet(Kind kind) {
  const uint64_t operation = operations_++;
  if (dead_) return DiskFault::kError;
  if (full_ && kind != Kind::kShrinks) return DiskFault::kNoSpace;
  if (!ordered_.has_value() || operation < ordered_->first) return std::nullopt;
  const DiskFault fault = ordered_->second;
  // Deleting works on a full disk.
  if (fault == DiskFault::kNoSpace && kind == Kind::kShrinks) {
    return std::nullopt;
  }
  ordered_.reset();
  failed_ = true;
  full_ = fault == DiskFault::kNoSpace;
  dead_ = fault == DiskFault::kCrash;
  return fault;
}

IOStatus FaultyFileSystem::ErrorOf(DiskFault fault) {
  switch (fault) {
    case DiskFault::kNoSpace:
      return IOStatus::NoSpace("injected", "No space left on device");
    case DiskFault::kCrash:  // It happened, but the process never learns so.
      return IOStatus::OK();
    case DiskFault::kError:
    case DiskFault::kShortWrite:
      break;
  }
  return IOStatus::IOError("injected", "Input/output error");
}

void FaultyFileSystem::SetCapacity(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  capacity_ = bytes;
  min_free_bytes_ = bytes;
}

uint64_t FaultyFileSystem::min_free_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return min_free_bytes_;
}

uint64_t FaultyFileSystem::FreeBytes() const {
  if (!capacity_.has_value()) return std::numeric_limits<uint64_t>::max();
  uint64_t used = 0;
  for (const auto& [name, file] : names_) used += file->bytes.size();
  return *capacity_ - std::min(*capacity_, used);
}

IOStatus FaultyFileSystem::GetFreeSpace(const std::string&, const IOOptions&,
                                        uint64_t* free, IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!capacity_.has_value()) return IOStatus::NotSupported("capacity unknown");
  *free = FreeBytes();
  return IOStatus::OK();
}

void FaultyFileSystem::FailAfter(uint64_t after, DiskFault fault) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ordered_ = {operations_ + after, fault};
  failed_ = false;
}

void FaultyFileSystem::FailReads(std::string part, uint64_t begin,
                                 uint64_t end) {
  const std::lock_guard<std::mutex> lock(mutex_);
  bad_sectors_ = {.part = std::move(part), .begin = begin, .end = end};
}

bool FaultyFileSystem::FailsToRead(const File& file, uint64_t offset,
                                   size_t n) const {
  if (!bad_sectors_.has_value() || offset >= bad_sectors_->end ||
      offset + n <= bad_sectors_->begin) {
    return false;
  }
  return std::any_of(names_.begin(), names_.end(), [&](const auto& each) {
    return each.second.get() == &file &&
           each.first.find(bad_sectors_->part) != std::string::npos;
  });
}

void FaultyFileSystem::Heal() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ordered_.reset();
  bad_sectors_.reset();
  full_ = dead_ = false;
}

bool FaultyFileSystem::failed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_;
}

uint64_t FaultyFileSystem::renames() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return renames_;
}

uint64_t FaultyFileSystem::deletions() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return deletions_;
}

uint64_t FaultyFileSystem::operations() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return operations_;
}

bool FaultyFileSystem::full() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return full_;
}

bool FaultyFileSystem::dead() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return dead_;
}

void FaultyFileSystem::CrashMachine() {
  const std::lock_guard<std::mutex> lock(mutex_);
  names_ = synced_names_;
  for (const auto& [name, file] : names_) {
    file->bytes = file->synced;
    file->dropped.clear();
  }
  ordered_.reset();
  full_ = dead_ = false;
}

FaultyFileSystem::Files FaultyFileSystem::Snapshot() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Files files;
  for (const auto& [name, file] : names_) files.emplace(name, file->bytes);
  return files;
}

void FaultyFileSystem::Restore(const Files& files) {
  const std::lock_guard<std::mutex> lock(mutex_);
  names_.clear();
  for (const auto& [name, bytes] : files) {
    names_[name] = std::make_shared<File>(File{bytes, bytes, {}});
  }
  synced_names_ = names_;
}

std::shared_ptr<FaultyFileSystem::File> FaultyFileSystem::Find(
    const std::string& name) const {
  const auto it = names_.find(Clean(name));
  return it == names_.end() ? nullptr : it->second;
}

void FaultyFileSystem::SyncNames(const std::string& folder) {
  std::erase_if(synced_names_,
                [&](const auto& entry) { return LiesIn(entry.first, folder); });
  for (const auto& entry : names_) {
    if (LiesIn(entry.first, folder)) synced_names_.insert(entry);
  }
}

IOStatus FaultyFileSystem::NewSequentialFile(
    const std::string& name, const rocksdb::FileOptions&,
    std::unique_ptr<rocksdb::FSSequentialFile>* result, IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<File> file = Find(name);
  if (file == nullptr) return Missing(name);
  *result = std::make_unique<Sequential>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::NewRandomAccessFile(
    const std::string& name, const rocksdb::FileOptions&,
    std::unique_ptr<rocksdb::FSRandomAccessFile>* result, IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<File> file = Find(name);
  if (file == nullptr) return Missing(name);
  *result = std::make_unique<RandomAccess>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::NewWritableFile(
    const std::string& name, const rocksdb::FileOptions&,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::optional<DiskFault> fault = Meet(Kind::kGrows);
  if (fault.has_value() && fault != DiskFault::kCrash) return ErrorOf(*fault);
  auto file = std::make_shared<File>();
  names_[Clean(name)] = file;
  *result = std::make_unique<Writable>(*this, std::move(file));
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::ReopenWritableFile(
    const std::string& name, const rocksdb::FileOptions& options,
    std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* context) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::shared_ptr<File> file = Find(name); file != nullptr) {
      *result = std::make_unique<Writable>(*this, std::move(file));
      return IOStatus::OK();
    }
  }
  return NewWritableFile(name, options, result, context);
}

IOStatus FaultyFileSystem::NewDirectory(
    const std::string& name, const IOOptions&,
    std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext*) {
  *result = std::make_unique<Folder>(*this, Clean(name));
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::FileExists(const std::string& name, const IOOptions&,
                                      IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string folder = Clean(name);
  if (Find(name) != nullptr ||
      std::any_of(names_.begin(), names_.end(), [&](const auto& entry) {
        return LiesIn(entry.first, folder);
      })) {
    return IOStatus::OK();
  }
  return IOStatus::NotFound();
}

IOStatus FaultyFileSystem::GetChildren(const std::string& folder,
                                       const IOOptions&,
                                       std::vector<std::string>* result,
                                       IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string clean = Clean(folder);
  result->clear();
  std::string before;
  for (const auto& [name, file] : names_) {
    if (name.compare(0, clean.size() + 1, clean + "/") != 0) continue;
    const std::string rest = name.substr(clean.size() + 1);
    const std::string child = rest.substr(0, rest.find('/'));
    if (result->empty() || result->back() != child) result->push_back(child);
  }
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::DeleteFile(const std::string& name, const IOOptions&,
                                      IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++deletions_;
  if (Find(name) == nullptr) return Missing(name);
  const std::optional<DiskFault> fault = Meet(Kind::kShrinks);
  if (fault.has_value() && fault != DiskFault::kCrash) return ErrorOf(*fault);
  names_.erase(Clean(name));
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::CreateDir(const std::string&, const IOOptions&,
                                     IODebugContext*) {
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::CreateDirIfMissing(const std::string&,
                                              const IOOptions&,
                                              IODebugContext*) {
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::DeleteDir(const std::string&, const IOOptions&,
                                     IODebugContext*) {
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::GetFileSize(const std::string& name,
                                       const IOOptions&, uint64_t* size,
                                       IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::shared_ptr<File> file = Find(name);
  if (file == nullptr) return Missing(name);
  *size = file->bytes.size();
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::GetFileModificationTime(const std::string& name,
                                                   const IOOptions&,
                                                   uint64_t* time,
                                                   IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (Find(name) == nullptr) return Missing(name);
  *time = 0;
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::RenameFile(const std::string& from,
                                      const std::string& to, const IOOptions&,
                                      IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++renames_;
  const std::string source = Clean(from);
  const std::string target = Clean(to);
  const std::optional<DiskFault> fault = Meet(Kind::kShrinks);
  if (fault.has_value() && fault != DiskFault::kCrash) return ErrorOf(*fault);
  if (const auto it = names_.find(source); it != names_.end()) {
    names_[target] = it->second;
    names_.erase(source);
    return IOStatus::OK();
  }
  Names moved;  // A folder with everything below it.
  for (const auto& [name, file] : names_) {
    if (name.compare(0, source.size() + 1, source + "/") == 0) {
      moved.emplace(name, file);
    }
  }
  if (moved.empty()) return Missing(from);
  for (const auto& [name, file] : moved) {
    for (Names* names : {&names_, &synced_names_}) {
      if (names->erase(name) == 0) continue;
      (*names)[target + name.substr(source.size())] = file;
    }
  }
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::LinkFile(const std::string& from,
                                    const std::string& to, const IOOptions&,
                                    IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<File> file = Find(from);
  if (file == nullptr) return Missing(from);
  const std::optional<DiskFault> fault = Meet(Kind::kGrows);
  if (fault.has_value() && fault != DiskFault::kCrash) return ErrorOf(*fault);
  names_[Clean(to)] = std::move(file);
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::LockFile(const std::string&, const IOOptions&,
                                    rocksdb::FileLock** lock, IODebugContext*) {
  *lock = new rocksdb::FileLock();
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::UnlockFile(rocksdb::FileLock* lock, const IOOptions&,
                                      IODebugContext*) {
  delete lock;
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::GetTestDirectory(const IOOptions&, std::string* path,
                                            IODebugContext*) {
  *path = "/test";
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::GetAbsolutePath(const std::string& path,
                                           const IOOptions&,
                                           std::string* absolute,
                                           IODebugContext*) {
  *absolute = path;
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::IsDirectory(const std::string& path,
                                       const IOOptions&, bool* is_directory,
                                       IODebugContext*) {
  const std::lock_guard<std::mutex> lock(mutex_);
  *is_directory = Find(path) == nullptr;
  return IOStatus::OK();
}

}  // namespace heapsync
