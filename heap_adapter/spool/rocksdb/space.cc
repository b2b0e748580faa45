#include "heap_adapter/spool/rocksdb/space.h"

#include <rocksdb/experimental.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace heapsync {
namespace {

// Compact immediately once more than one in this many entries is a tombstone:
// each may delete a large block, while other entries are often small.
constexpr uint64_t kTombstoneRatio = 16;
// Compact after this time even if fewer entries are tombstones.
constexpr std::chrono::seconds kMaxKept{20};
// Bounds of the pause after a full compaction that found no space.
constexpr std::chrono::seconds kMinRest{20};
constexpr std::chrono::seconds kMaxRest{120};

// Number of tombstones among all entries.
struct Deleted {
  uint64_t deletions = 0;
  uint64_t entries = 0;
};

Deleted InMemory(rocksdb::DB& db) {
  Deleted deleted;
  db.GetIntProperty("rocksdb.num-entries-active-mem-table", &deleted.entries);
  db.GetIntProperty("rocksdb.num-deletes-active-mem-table", &deleted.deletions);
  return deleted;
}

// RocksDB 9 has no `force`.
template <typename Db>
void EnableFileDeletions(Db& db) {
  if constexpr (requires { db.EnableFileDeletions(/*force=*/true); }) {
    static_cast<void>(db.EnableFileDeletions(/*force=*/true));
  } else {
    static_cast<void>(db.EnableFileDeletions());
  }
}

// Zero entries if RocksDB does not report them.
Deleted InFiles(rocksdb::DB& db) {
  rocksdb::TablePropertiesCollection tables;
  const bool known = db.GetPropertiesOfAllTables(&tables).ok();
  // A compaction that ended while the properties were read could not delete its
  // inputs, and RocksDB would retry that only after the next compaction.
  EnableFileDeletions(db);
  Deleted deleted;
  if (!known) return deleted;
  for (const auto& [file, table] : tables) {
    deleted.entries += table->num_entries;
    deleted.deletions += table->num_deletions;
  }
  return deleted;
}

}  // namespace

bool HasSpaceFor(uint64_t bytes, rocksdb::Env& env, const std::string& path) {
  // Through RocksDB's environment, which tests replace by a disk that fills.
  uint64_t free = 0;
  if (!env.GetFreeSpace(path, &free).ok()) return true;
  return free >= bytes + (4 << 20);
}

CompactionGuard::CompactionGuard(rocksdb::Env& env, std::string path)
    : env_(env), path_(std::move(path)) {}

void CompactionGuard::Request(int64_t bytes, rocksdb::Env::IOPriority priority,
                              rocksdb::Statistics*) {
  std::atomic<bool>* const cancel = cancel_;
  if (cancel != nullptr && priority == rocksdb::Env::IO_LOW &&
      !HasSpaceFor(static_cast<uint64_t>(bytes), env_, path_)) {
    *cancel = true;
  }
}

int64_t CompactionGuard::GetBytesPerSecond() const {
  return std::numeric_limits<int64_t>::max();
}

int64_t CompactionGuard::GetSingleBurstBytes() const {
  return std::numeric_limits<int64_t>::max();
}

RocksDbSpace::RocksDbSpace(rocksdb::Env& env, std::string path,
                           std::shared_ptr<CompactionGuard> guard,
                           DamageReport report)
    : env_(env),
      path_(std::move(path)),
      guard_(std::move(guard)),
      report_(std::move(report)) {}

void RocksDbSpace::OnOpened(const rocksdb::DB& db) {
  compacts_ = !db.GetOptions().disable_auto_compactions;
}

void RocksDbSpace::Reclaim(rocksdb::DB& db, const Store::SpaceNeeds& needs,
                           uint64_t bytes_in_memory) {
  if (needs.nearly_full) RemoveDamagedCopies(env_, path_, "", report_);
  const bool compacts = !needs.nearly_full || MayCompact(env_, path_);
  if (compacts != compacts_) SetCompaction(db, compacts);
  if (!needs.nearly_full || !HasSpaceFor(bytes_in_memory)) return;
  const MonotonicTime now = SystemClock().Read().monotonic;
  // A flush without a compaction would only use up space, file by file.
  if (!compacts && (now < next_try_ || !HasSpaceFor(needs.live_bytes))) return;
  const bool is_time = now - reclaimed_at_ >= kMaxKept;
  const auto worth = [is_time](const Deleted& deleted) {
    return deleted.deletions > 0 &&
           (is_time || kTombstoneRatio * deleted.deletions >= deleted.entries);
  };
  if (worth(InMemory(db))) {
    rocksdb::FlushOptions flush;
    flush.allow_write_stall = true;
    // The next write returns the error again.
    static_cast<void>(db.Flush(flush));
  }
  if (!worth(InFiles(db))) return;
  reclaimed_at_ = now;
  if (compacts) {
    static_cast<void>(
        rocksdb::experimental::SuggestCompactRange(&db, nullptr, nullptr));
  } else {
    CompactAll(db, needs);
  }
}

void RocksDbSpace::SetCompaction(rocksdb::DB& db, bool compacts) {
  // RocksDB cannot store the option on a full disk, which does not matter.
  static_cast<void>(db.SetOptions(
      {{"disable_auto_compactions", compacts ? "false" : "true"}}));
  compacts_ = compacts;
}

void RocksDbSpace::CompactAll(rocksdb::DB& db, const Store::SpaceNeeds& needs) {
  rocksdb::CompactRangeOptions all;
  all.exclusive_manual_compaction = false;
  all.canceled = needs.cancel;
  guard_->Begin(*needs.cancel);
  const bool compacted = db.CompactRange(all, nullptr, nullptr).ok();
  guard_->End();
  rest_ = compacted ? std::chrono::seconds::zero()
                    : std::clamp(2 * rest_, kMinRest, kMaxRest);
  next_try_ = SystemClock().Read().monotonic + rest_;
}

}  // namespace heapsync
