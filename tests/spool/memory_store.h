#ifndef HEAPSYNC_TESTS_SPOOL_MEMORY_STORE_H_
#define HEAPSYNC_TESTS_SPOOL_MEMORY_STORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Effect of a write that storage reported as failed. Both happen: the bytes of
// a failed sync may have reached the disk or not.
enum class FailedWrite { kLost, kHappened };

// A Store in memory that crashes like one with a write-ahead log: only the
// newest writes are lost. All methods may be called from any thread.
class MemoryStore final : public Store {
 public:
  // Cursors must be gone before the store is.
  MemoryStore() = default;

  absl::Status Write(const StoreBatch& batch, Durability durability) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  // There is space again as soon as writes succeed again.
  absl::Status Resume() override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override ABSL_LOCKS_EXCLUDED(mutex_);
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override;
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The process ends: every write that returned OK is kept. Both crashes
  // REQUIRE that no cursor is open, and end the failing of writes.
  void CrashProcess() ABSL_LOCKS_EXCLUDED(mutex_);
  // The machine crashes: only the first `keep_unsynced` of the writes after the
  // last synced one are kept.
  void CrashMachine(uint64_t keep_unsynced) ABSL_LOCKS_EXCLUDED(mutex_);

  // The next `after_n_writes` writes succeed; all later ones return `status`.
  // With an OK status writes succeed again.
  void FailWrites(absl::Status status, uint64_t after_n_writes,
                  FailedWrite fate = FailedWrite::kLost)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The next `after_n_reads` calls of Get, Scan and Last succeed; all later
  // ones return `status`. Reads succeed again with an OK status, and after a
  // crash.
  void FailReads(absl::Status status, uint64_t after_n_reads)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Successful writes so far; how many of them were synced; how many would be
  // lost if the machine ended now; and how many were tried and failed.
  uint64_t writes() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t syncs() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t unsynced_writes() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t failed_writes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Number of entries that a read sees now.
  size_t entries() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class MemoryCursor;

  // Values of a key by version, the newest last. Older ones are kept only while
  // a cursor may read them.
  struct Version {
    uint64_t since = 0;
    std::optional<std::string> value;
  };
  using Entries = std::map<std::string, std::vector<Version>, std::less<>>;
  // Values that a write replaced, the newest change last.
  using Undo = std::vector<StoreBatch::Change>;

  static const std::optional<std::string>& At(
      const std::vector<Version>& versions, uint64_t version);
  std::optional<std::string> Current(absl::string_view key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Set(const std::string& key, std::optional<std::string> value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Apply(const StoreBatch& batch, Durability durability)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status BeginRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseCursor(uint64_t version) const ABSL_LOCKS_EXCLUDED(mutex_);

  mutable Mutex mutex_;
  mutable Entries entries_ ABSL_GUARDED_BY(mutex_);
  mutable std::multiset<uint64_t> cursors_ ABSL_GUARDED_BY(mutex_);
  mutable std::set<std::string> outdated_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Undo> unsynced_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  FailedWrite fate_ ABSL_GUARDED_BY(mutex_) = FailedWrite::kLost;
  uint64_t writes_before_failure_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status read_failure_ ABSL_GUARDED_BY(mutex_);
  mutable uint64_t reads_before_failure_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t writes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t syncs_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t failed_writes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_MEMORY_STORE_H_
