#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROOM_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROOM_H_

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/rate_limiter.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "heap_adapter/spool/rocksdb_repair.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Bytes that one merge of files writes, about: some files of what was in memory
// and the first level, or one file and those of the next level below it. Less
// than the room that is kept free on a disk unless told otherwise.
inline constexpr uint64_t kMostOfAMerge = 192 << 20;

// Whether the disk of the folder `path` has room for so many bytes and a
// little. True where the system does not say.
bool HasRoomFor(uint64_t bytes, rocksdb::Env& env, const std::string& path);

// A merge for which there is no room would fill the disk, fail, and begin anew.
inline bool MayMerge(rocksdb::Env& env, const std::string& path) {
  return HasRoomFor(kMostOfAMerge, env, path);
}

// Ends a merge of everything before it fills the disk: what of it lives can be
// more than anybody counted. Limits no rate: RocksDB asks a rate limiter before
// each write of a merge, from its threads. To be the rate limiter of the
// database whose RocksDbRoom has it.
class MergeGuard final : public rocksdb::RateLimiter {
 public:
  // `env` must outlive this.
  MergeGuard(rocksdb::Env& env, std::string path);

  // Until End(), `cancel` is set when a merge is about to write what there is
  // no room for.
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

// What a RocksDB database does for its room while the disk is nearly full: the
// policy behind Store::KeepRoom().
//
// A deletion is one more entry; what it deletes goes when the files of both are
// merged. RocksDB does that when there are files enough, which may be never if
// nothing new is accepted. What waits is rewritten with it: so it is done at
// once where much is deleted, and else once in a while. Where RocksDB's own
// merges find no room they are off, and everything is merged if what lives
// fits. What repairs have left beside the store goes first.
//
// One thread at a time.
class RocksDbRoom {
 public:
  // `env` must outlive this. `report` is told what is removed.
  RocksDbRoom(rocksdb::Env& env, std::string path,
              std::shared_ptr<MergeGuard> guard, DamageReport report);

  // `db` is the database from now on.
  void OnOpened(const rocksdb::DB& db);

  // `bytes_in_memory`: what `db` would write to files in a flush.
  void Keep(rocksdb::DB& db, const Store::RoomNeeds& needs,
            uint64_t bytes_in_memory);

 private:
  bool HasRoomFor(uint64_t bytes) const {
    return heapsync::HasRoomFor(bytes, env_, path_);
  }
  void SetMerges(rocksdb::DB& db, bool merges);
  void MergeAll(rocksdb::DB& db, const Store::RoomNeeds& needs);

  rocksdb::Env& env_;
  const std::string path_;
  const std::shared_ptr<MergeGuard> guard_;  // the database has it, too
  const DamageReport report_;
  bool merges_ = true;  // whether RocksDB merges files by itself
  std::chrono::steady_clock::time_point gave_back_at_;
  std::chrono::steady_clock::time_point next_try_;
  std::chrono::seconds rest_{0};
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROCKSDB_ROOM_H_
