#ifndef HEAPSYNC_TESTS_SPOOL_ROCKSDB_FAULTY_FILE_SYSTEM_H_
#define HEAPSYNC_TESTS_SPOOL_ROCKSDB_FAULTY_FILE_SYSTEM_H_

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heapsync {

// Fault of one operation that changes a disk.
enum class DiskFault {
  kError,       // EIO; the operation has no effect
  kShortWrite,  // EIO; the first half of a write takes effect
  kNoSpace,     // ENOSPC, also for later operations while the disk is full;
                // deleting works
  kCrash,       // the operation takes effect, and every later one fails until
                // CrashMachine()
};

// A disk in memory, under RocksDB, that fails on command and loses unsynced
// data at a crash: bytes of files are synced by their Sync, names of files by
// the Fsync of their directory. (A folder's own name is never lost.)
//
// Operations are counted: writes, syncs of files and directories, renames,
// links, deletions, creations. Any thread.
class FaultyFileSystem final : public rocksdb::FileSystem {
 public:
  // Name and bytes of each file.
  using Files = std::map<std::string, std::string>;

  // The operation after the next `after` ones has `fault`, once.
  void FailAfter(uint64_t after, DiskFault fault);
  // Limits the total size of files: a write beyond it fails with ENOSPC and has
  // no effect, and the free space is known.
  void SetCapacity(uint64_t bytes);
  // The minimum free space after any write since then.
  uint64_t min_free_bytes() const;
  // Until Heal(): reading bytes of [begin, end) of a file whose name holds
  // `part` fails.
  void FailReads(std::string part, uint64_t begin, uint64_t end);
  // Clears all faults; a full disk has space again.
  void Heal();
  // True if the scheduled fault has occurred.
  bool failed() const;
  uint64_t operations() const;
  // Renames and deletions among these operations.
  uint64_t renames() const;
  uint64_t deletions() const;
  bool full() const;
  // After kCrash, until CrashMachine().
  bool dead() const;

  // Drops unsynced data and heals. REQUIRES: nothing is open.
  void CrashMachine();

  Files Snapshot() const;
  // Replaces all files by `files`, synced. REQUIRES: nothing is open.
  void Restore(const Files& files);

  const char* Name() const override { return "FaultyFileSystem"; }
  rocksdb::IOStatus NewSequentialFile(
      const std::string& name, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSSequentialFile>* result,
      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewRandomAccessFile(
      const std::string& name, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewWritableFile(
      const std::string& name, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus ReopenWritableFile(
      const std::string& name, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSWritableFile>* result,
      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewDirectory(const std::string& name,
                                 const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus FileExists(const std::string& name,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetChildren(const std::string& folder,
                                const rocksdb::IOOptions& options,
                                std::vector<std::string>* result,
                                rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus DeleteFile(const std::string& name,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus CreateDir(const std::string& name,
                              const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus CreateDirIfMissing(
      const std::string& name, const rocksdb::IOOptions& options,
      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus DeleteDir(const std::string& name,
                              const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetFileSize(const std::string& name,
                                const rocksdb::IOOptions& options,
                                uint64_t* size,
                                rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetFileModificationTime(
      const std::string& name, const rocksdb::IOOptions& options,
      uint64_t* time, rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus LockFile(const std::string& name,
                             const rocksdb::IOOptions& options,
                             rocksdb::FileLock** lock,
                             rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus UnlockFile(rocksdb::FileLock* lock,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetFreeSpace(const std::string& path,
                                 const rocksdb::IOOptions& options,
                                 uint64_t* free,
                                 rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetTestDirectory(const rocksdb::IOOptions& options,
                                     std::string* path,
                                     rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetAbsolutePath(const std::string& path,
                                    const rocksdb::IOOptions& options,
                                    std::string* absolute,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus IsDirectory(const std::string& path,
                                const rocksdb::IOOptions& options,
                                bool* is_directory,
                                rocksdb::IODebugContext* context) override;

 private:
  struct File {
    std::string bytes;
    std::string synced;
    // Bytes that a sync failed to write. As on Linux, the system considers them
    // written, and a later successful sync does not write them.
    std::vector<std::pair<size_t, size_t>> dropped;

    void Sync() {
      synced = bytes;
      for (const auto& [begin, end] : dropped) {
        synced.replace(begin, end - begin, end - begin, '\0');
      }
    }
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  class Sequential;
  class RandomAccess;
  class Writable;
  class Folder;

  // Counts one operation; returns its fault, if any.
  enum class Kind { kGrows, kSyncs, kShrinks };
  std::optional<DiskFault> Meet(Kind kind);
  static rocksdb::IOStatus ErrorOf(DiskFault fault);
  bool FailsToRead(const File& file, uint64_t offset, size_t n) const;
  std::shared_ptr<File> Find(const std::string& name) const;
  void SyncNames(const std::string& folder);
  uint64_t FreeBytes() const;

  mutable std::mutex mutex_;
  Names names_;
  Names synced_names_;
  std::optional<uint64_t> capacity_;
  uint64_t min_free_bytes_ = 0;
  uint64_t operations_ = 0;
  uint64_t renames_ = 0;
  uint64_t deletions_ = 0;
  std::optional<std::pair<uint64_t, DiskFault>> ordered_;  // at operation
  struct BadSectors {
    std::string part;
    uint64_t begin;
    uint64_t end;
  };
  std::optional<BadSectors> bad_sectors_;
  bool failed_ = false;
  bool full_ = false;
  bool dead_ = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_ROCKSDB_FAULTY_FILE_SYSTEM_H_
