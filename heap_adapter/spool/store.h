#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_STORE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace heapsync {

// Changes to a store that are applied atomically, in the given order.
class StoreBatch {
 public:
  struct Change {
    std::string key;
    std::optional<std::string> value;  // none: the key is deleted
  };

  void Put(std::string key, std::string value) {
    bytes_ += key.size() + value.size();
    changes_.push_back({std::move(key), std::move(value)});
  }
  void Delete(std::string key) {
    bytes_ += key.size();
    changes_.push_back({std::move(key), std::nullopt});
  }
  // Appends the changes of `other`.
  void Append(StoreBatch other) {
    bytes_ += other.bytes_;
    changes_.insert(changes_.end(),
                    std::make_move_iterator(other.changes_.begin()),
                    std::make_move_iterator(other.changes_.end()));
  }

  // Removes all but the first `size` changes.
  void CutTo(size_t size) {
    for (; changes_.size() > size; changes_.pop_back()) {
      const Change& last = changes_.back();
      bytes_ -= last.key.size() + (last.value ? last.value->size() : 0);
    }
  }

  bool empty() const { return changes_.empty(); }
  size_t bytes() const { return bytes_; }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Change> changes_;
  size_t bytes_ = 0;
};

// Guarantee of a write that has returned.
enum class Durability {
  kProcess,  // survives a crash of this process, but not of the machine
  kDisk,     // synced, like all earlier writes: survives both
};

// Iterates over the entries of a range in key order, in a snapshot of the store
// taken when the cursor was created.
class StoreCursor {
 public:
  virtual ~StoreCursor() = default;
  virtual bool Valid() const = 0;
  // The next three REQUIRE Valid(). The views are valid until Next().
  virtual absl::string_view key() const = 0;
  virtual absl::string_view value() const = 0;
  virtual void Next() = 0;
  // OK while Valid() and at the end of the range; otherwise the error that made
  // Valid() false.
  virtual absl::Status status() const = 0;
};

// Storage interface of the spool: an ordered map of byte strings with atomic
// writes. It is the only access to the disk; the spool's logic is the same for
// every implementation.
//
// One thread writes at a time; reads may come from any thread, during writes
// too. Other processes may write to a shared store at the same time.
class Store {
 public:
  virtual ~Store() = default;

  // Errors: those of the storage. After an error nothing more may be written:
  // it is not known what reached the disk, and another sync would not tell. If
  // the disk was full (kResourceExhausted), Resume() makes writing possible
  // again.
  virtual absl::Status Write(const StoreBatch& batch,
                             Durability durability) = 0;

  // True if other processes write to the store as well. Entries that they may
  // change, too, are then changed by Update() alone.
  virtual bool shared() const { return false; }

  // The batch to write, given the present values of some keys; none: there is
  // no such key.
  using BatchMaker = absl::FunctionRef<StoreBatch(
      const std::vector<std::optional<std::string>>& values)>;
  // Writes what `make` returns for the values of `keys`, which are in ascending
  // order. Nobody else changes them, or adds one that is missing, between that
  // call and the write. If the write has to be repeated, `make` is called
  // again; the batch of its last call is what is written, or was if this
  // returns an error and it is unknown. Errors: see Write().
  virtual absl::Status Update(const std::vector<std::string>& keys,
                              BatchMaker make, Durability durability) {
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) {
      auto value = Get(key);
      if (!value.ok()) return value.status();
      values.push_back(*std::move(value));
    }
    return Write(make(values), durability);
  }

  // Makes the store writable again after a write failed with
  // kResourceExhausted because the disk is full. The failed write is discarded
  // and writing continues in new files; the contents of a file to which a write
  // failed are no longer trusted. Errors: kResourceExhausted while there is
  // still no space, and the call may be repeated; after any other error nothing
  // more may be written.
  virtual absl::Status Resume() = 0;

  // Input of ReclaimSpace().
  struct SpaceNeeds {
    bool nearly_full = false;  // of the disk
    // Approximate size of the entries that are not deleted, in bytes.
    uint64_t live_bytes = 0;
    // Set by another thread to end ReclaimSpace() early, and by the store
    // itself if there is no space to continue. Not owned; not null.
    std::atomic<bool>* cancel = nullptr;
  };
  // Must be called every few seconds, by one thread other than the writing one.
  // If the disk is nearly full, reclaims the space of deleted entries, which
  // may take a while. Starts only if there is space for its own work.
  virtual void ReclaimSpace(const SpaceNeeds&) {}

  // The value of `key`; none if there is no such key.
  virtual absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const = 0;

  // Entries with begin <= key < end.
  virtual std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                            absl::string_view end) const = 0;

  // The entry with the greatest key in [begin, end); none if there is none.
  virtual absl::StatusOr<std::optional<std::pair<std::string, std::string>>>
  Last(absl::string_view begin, absl::string_view end) const = 0;

  struct KeyRange {
    std::string begin;
    std::string end;
    bool with_value = true;
  };
  using FirstEntries =
      std::vector<std::optional<std::pair<std::string, std::string>>>;
  // The first entry of each range, and none for a range without any. Its value
  // is empty unless it is asked for. A shared store answers in one request, and
  // as of one moment.
  virtual absl::StatusOr<FirstEntries> FirstOfEach(
      absl::Span<const KeyRange> ranges) const {
    FirstEntries entries;
    entries.reserve(ranges.size());
    for (const KeyRange& range : ranges) {
      const auto cursor = Scan(range.begin, range.end);
      if (!cursor->status().ok()) return cursor->status();
      entries.emplace_back();
      if (!cursor->Valid()) continue;
      entries.back().emplace(
          std::string(cursor->key()),
          range.with_value ? std::string(cursor->value()) : std::string());
    }
    return entries;
  }
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_STORE_H_
