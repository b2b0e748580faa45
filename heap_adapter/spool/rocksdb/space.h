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

#include "base/clock.h"
#include "heap_adapter/spool/rocksdb/repair.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Approximate maximum number of bytes that one compaction writes: flushed files
// and the first level, or one file and the overlapping files of the next level.
// Less than the default of the space that is kept free on the disk.
inline constexpr uint64_t kMaxCompactionBytes = 192 << 20;

// True if the disk of the folder `path` has space for `bytes` and a small
// margin, or if the system does not report its free space.
bool HasSpaceFor(uint64_t bytes, rocksdb::Env& env, const std::string& path);

// True if there is space for a compaction. Without it a compaction would fill
// the disk, fail, and start again.
inline bool MayCompact(rocksdb::Env& env, const std::string& path) {
  return HasSpaceFor(kMaxCompactionBytes, env, path);
}

// Cancels a full compaction before it fills the disk, because the live data may
// be larger than estimated. It is a rate limiter that limits no rate: RocksDB
// asks its rate limiter before each write of a compaction, from its own
// threads. Must be the rate limiter of the database of the RocksDbSpace that
// uses it.
class CompactionGuard final : public rocksdb::RateLimiter {
 public:
  // `env` must outlive this.
  CompactionGuard(rocksdb::Env& env, std::string path);

  // Until End(), `cancel` is set when a compaction is about to write more than
  // there is space for.
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

// Policy behind Store::ReclaimSpace(): reclaims space in a RocksDB database
// while the disk is nearly full.
//
// A deletion adds a tombstone; the deleted entry is removed when the files of
// both are compacted. RocksDB compacts once there are enough files, which may
// be never if nothing new is accepted. A compaction also rewrites live entries,
// so it is requested immediately if many entries are deleted, and otherwise
// once in a while. If there is no space for RocksDB's automatic compactions,
// they are disabled, and a full compaction runs if the live data fits. Files
// that repairs left beside the store are removed first.
//
// One thread at a time.
class RocksDbSpace {
 public:
  // `env` must outlive this. `report` is called for everything that is removed.
  RocksDbSpace(rocksdb::Env& env, std::string path,
               std::shared_ptr<CompactionGuard> guard, DamageReport report);

  // Must be called whenever the database was opened or reopened.
  void OnOpened(const rocksdb::DB& db);

  // Does the next step that is due. `bytes_in_memory`: bytes that a flush of
  // `db` would write.
  void Reclaim(rocksdb::DB& db, const Store::SpaceNeeds& needs,
               uint64_t bytes_in_memory);

 private:
  bool HasSpaceFor(uint64_t bytes) const {
    return heapsync::HasSpaceFor(bytes, env_, path_);
  }
  void SetCompaction(rocksdb::DB& db, bool compacts);
  void CompactAll(rocksdb::DB& db, const Store::SpaceNeeds& needs);

  rocksdb::Env& env_;
  const std::string path_;
  const std::shared_ptr<CompactionGuard> guard_;  // shared with the database
  const DamageReport report_;
  bool compacts_ = true;  // automatic compactions are enabled
  MonotonicTime reclaimed_at_;
  MonotonicTime next_try_;
  std::chrono::seconds rest_{0};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_SPACE_H_
