#include "tests/spool/memory_store.h"

#include <algorithm>
#include <iterator>

namespace heapsync {
namespace {

// std::map's heterogeneous lookup compares with std::string.
std::string ToKey(absl::string_view key) { return std::string(key); }

}  // namespace

class MemoryCursor final : public StoreCursor {
 public:
  MemoryCursor(const MemoryStore& store, absl::string_view begin,
               absl::string_view end)
      : store_(store), end_(end) {
    MutexLock lock(store_.mutex_);
    version_ = store_.version_;
    store_.cursors_.insert(version_);
    status_ = store_.BeginRead();
    if (status_.ok()) Settle(store_.entries_.lower_bound(ToKey(begin)));
  }
  ~MemoryCursor() override { store_.CloseCursor(version_); }

  bool Valid() const override { return valid_; }
  absl::string_view key() const override { return key_; }
  absl::string_view value() const override { return value_; }
  void Next() override {
    MutexLock lock(store_.mutex_);
    Settle(store_.entries_.upper_bound(key_));
  }
  absl::Status status() const override { return status_; }

 private:
  // Copies the first entry at or after `it` that existed at the cursor's
  // version: the map may change as soon as the lock is released.
  void Settle(MemoryStore::Entries::const_iterator it)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(store_.mutex_) {
    for (; it != store_.entries_.end() && it->first < end_; ++it) {
      const std::optional<std::string>& value =
          MemoryStore::At(it->second, version_);
      if (!value.has_value()) continue;
      valid_ = true;
      key_ = it->first;
      value_ = *value;
      return;
    }
    valid_ = false;
  }

  const MemoryStore& store_;
  const std::string end_;
  uint64_t version_ = 0;
  absl::Status status_;
  bool valid_ = false;
  std::string key_;
  std::string value_;
};

const std::optional<std::string>& MemoryStore::At(
    const std::vector<Version>& versions, uint64_t version) {
  static const std::optional<std::string>& absent =
      *new std::optional<std::string>();
  for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
    if (it->since <= version) return it->value;
  }
  return absent;
}

std::optional<std::string> MemoryStore::Current(absl::string_view key) const {
  const auto it = entries_.find(ToKey(key));
  if (it == entries_.end()) return std::nullopt;
  return it->second.back().value;
}

void MemoryStore::Set(const std::string& key,
                      std::optional<std::string> value) {
  if (cursors_.empty()) {
    if (value.has_value()) {
      std::vector<Version>& versions = entries_[key];
      versions.clear();
      versions.push_back({version_, std::move(value)});
    } else {
      entries_.erase(key);
    }
    return;
  }
  std::vector<Version>& versions = entries_[key];
  if (!versions.empty() && versions.back().since == version_) {
    versions.back().value = std::move(value);
  } else {
    versions.push_back({version_, std::move(value)});
  }
  outdated_.insert(key);
}

void MemoryStore::CloseCursor(uint64_t version) const {
  MutexLock lock(mutex_);
  cursors_.erase(cursors_.find(version));
  if (!cursors_.empty()) return;
  for (const std::string& key : outdated_) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) continue;
    std::vector<Version>& versions = it->second;
    versions.erase(versions.begin(), std::prev(versions.end()));
    if (!versions.back().value.has_value()) entries_.erase(it);
  }
  outdated_.clear();
}

void MemoryStore::Apply(const StoreBatch& batch, Durability durability) {
  ++version_;
  Undo undo;
  for (const StoreBatch::Change& change : batch.changes()) {
    if (durability == Durability::kProcess) {
      undo.push_back({change.key, Current(change.key)});
    }
    Set(change.key, change.value);
  }
  if (durability == Durability::kDisk) {
    unsynced_.clear();
  } else {
    unsynced_.push_back(std::move(undo));
  }
}

absl::Status MemoryStore::Write(const StoreBatch& batch,
                                Durability durability) {
  MutexLock lock(mutex_);
  if (!failure_.ok()) {
    if (writes_before_failure_ == 0) {
      ++failed_writes_;
      if (fate_ == FailedWrite::kHappened) Apply(batch, Durability::kProcess);
      return failure_;
    }
    --writes_before_failure_;
  }
  Apply(batch, durability);
  ++writes_;
  if (durability == Durability::kDisk) ++syncs_;
  return absl::OkStatus();
}

absl::Status MemoryStore::BeginRead() const {
  if (read_failure_.ok()) return absl::OkStatus();
  if (reads_before_failure_ == 0) return read_failure_;
  --reads_before_failure_;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> MemoryStore::Get(
    absl::string_view key) const {
  MutexLock lock(mutex_);
  if (absl::Status status = BeginRead(); !status.ok()) return status;
  return Current(key);
}

std::unique_ptr<StoreCursor> MemoryStore::Scan(absl::string_view begin,
                                               absl::string_view end) const {
  return std::make_unique<MemoryCursor>(*this, begin, end);
}

absl::StatusOr<std::optional<std::pair<std::string, std::string>>>
MemoryStore::Last(absl::string_view begin, absl::string_view end) const {
  MutexLock lock(mutex_);
  if (absl::Status status = BeginRead(); !status.ok()) return status;
  auto it = entries_.lower_bound(ToKey(end));
  while (it != entries_.begin()) {
    --it;
    if (it->first < begin) break;
    const std::optional<std::string>& value = it->second.back().value;
    if (value.has_value()) return std::make_pair(it->first, *value);
  }
  return std::nullopt;
}

void MemoryStore::CrashProcess() { CrashMachine(UINT64_MAX); }

void MemoryStore::CrashMachine(uint64_t keep_unsynced) {
  MutexLock lock(mutex_);
  while (unsynced_.size() > keep_unsynced) {
    Undo undo = std::move(unsynced_.back());
    unsynced_.pop_back();
    for (auto it = undo.rbegin(); it != undo.rend(); ++it) {
      Set(it->key, std::move(it->value));
    }
  }
  if (keep_unsynced != UINT64_MAX) unsynced_.clear();
  failure_ = absl::OkStatus();
  read_failure_ = absl::OkStatus();
}

void MemoryStore::FailReads(absl::Status status, uint64_t after_n_reads) {
  MutexLock lock(mutex_);
  read_failure_ = std::move(status);
  reads_before_failure_ = after_n_reads;
}

void MemoryStore::FailWrites(absl::Status status, uint64_t after_n_writes,
                             FailedWrite fate) {
  MutexLock lock(mutex_);
  failure_ = std::move(status);
  writes_before_failure_ = after_n_writes;
  fate_ = fate;
}

uint64_t MemoryStore::writes() const {
  MutexLock lock(mutex_);
  return writes_;
}

uint64_t MemoryStore::syncs() const {
  MutexLock lock(mutex_);
  return syncs_;
}

uint64_t MemoryStore::unsynced_writes() const {
  MutexLock lock(mutex_);
  return unsynced_.size();
}

uint64_t MemoryStore::failed_writes() const {
  MutexLock lock(mutex_);
  return failed_writes_;
}

size_t MemoryStore::entries() const {
  MutexLock lock(mutex_);
  return static_cast<size_t>(std::count_if(
      entries_.begin(), entries_.end(), [](const Entries::value_type& entry) {
        return entry.second.back().value.has_value();
      }));
}

}  // namespace heapsync
