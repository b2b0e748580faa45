#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_SPACE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_SPACE_H_

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/rate_limiter.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "heap_adapter/spool/rocksdb/repair.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Bytes that one merge of files writes, about: some files of what was in memory
// and the first level, or one file and those of the next level below it. Less
// than the space that is kept free on a disk unless told otherwise.
inline constexpr uint64_t kMaxCompactionBytes = 192 << 20;

// Whether the disk of the folder `path` has space for so many bytes and a
// little. True where the system does not say.
bool HasSpaceFor(uint64_t bytes, rocksdb::Env& env, const std::string& path);

// A merge for which there is no space would fill the disk, fail, and begin
// anew.
inline bool MayCompact(rocksdb::Env& env, const std::string& path) {
  return HasSpaceFor(kMaxCompactionBytes, env, path);
}

// Ends a merge of everything before it fills the disk: what of it lives can be
// more than anybody counted. Limits no rate: RocksDB asks a rate limiter before
// each write of a merge, from its threads. To be the rate limiter of the
// database whose RocksDbSpace has it.
class CompactionGuard final : public rocksdb::RateLimiter {
 public:
  // `env` must outlive this.
  CompactionGuard(rocksdb::Env& env, std::string path);

  // Until End(), `cancel` is set when a merge is about to write what there is
  // no space for.
  void Begin(std::atomic<bool>& cancel) { cancel_ = &cancel; }
  void End() { cancel_ = nullptr; }

  void Request(int64_t bytes, rocksdb::Env::IOPriority priority,
               rocksdb::Statistics* statistics) override;
  void SetBytesPerSecond(int64_t) override {}
  int64_t GetBytesPerSecond() const override;
  int64_t GetSingleBurstBytes() const override;
  int64_t GetTotalBytesThrough(rocksdb::Env::IOPriority) const override {
    return 0;
  }
  int64_t GetTotalRequests(rocksdb::Env::IOPriority) const override {
    return 0;
  }

 private:
  rocksdb::Env& env_;
  const std::string path_;
  std::atomic<std::atomic<bool>*> cancel_ = nullptr;
};

// What a RocksDB database does for its space while the disk is nearly full: the
// policy behind Store::ReclaimSpace().
//
// A deletion is one more entry; what it deletes goes when the files of both are
// merged. RocksDB does that when there are files enough, which may be never if
// nothing new is accepted. What waits is rewritten with it: so it is done at
// once where much is deleted, and else once in a while. Where RocksDB's own
// merges find no space they are off, and everything is merged if what lives
// fits. What repairs have left beside the store goes first.
//
// One thread at a time.
class RocksDbSpace {
 public:
  // `env` must outlive this. `report` is told what is removed.
  RocksDbSpace(rocksdb::Env& env, std::string path,
               std::shared_ptr<CompactionGuard> guard, DamageReport report);

  // `db` is the database from now on.
  void OnOpened(const rocksdb::DB& db);

  // `bytes_in_memory`: what `db` would write to files in a flush.
  void Keep(rocksdb::DB& db, const Store::SpaceNeeds& needs,
            uint64_t bytes_in_memory);

 private:
  bool HasSpaceFor(uint64_t bytes) const {
    return heapsync::HasSpaceFor(bytes, env_, path_);
  }
  void SetCompaction(rocksdb::DB& db, bool merges);
  void CompactAll(rocksdb::DB& db, const Store::SpaceNeeds& needs);

  rocksdb::Env& env_;
  const std::string path_;
  const std::shared_ptr<CompactionGuard> guard_;  // the database has it, too
  const DamageReport report_;
  bool merges_ = true;  // whether RocksDB merges files by itself
  std::chrono::steady_clock::time_point gave_back_at_;
  std::chrono::steady_clock::time_point next_try_;
  std::chrono::seconds rest_{0};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_SPACE_H_
