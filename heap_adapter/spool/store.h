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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Changes to a store that happen together or not at all, in the order given.
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
  // Puts the changes of `other` behind these.
  void Append(StoreBatch other) {
    bytes_ += other.bytes_;
    changes_.insert(changes_.end(),
                    std::make_move_iterator(other.changes_.begin()),
                    std::make_move_iterator(other.changes_.end()));
  }

  // Takes out all but the first `size` changes.
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

// How safe a write is once it has returned.
enum class Durability {
  kProcess,  // survives the end of this process, not that of the machine
  kDisk,     // synced: survives both, and so does all that was written before
};

// Goes through the entries of a range in key order. It sees the store as it was
// when the cursor was made.
class StoreCursor {
 public:
  virtual ~StoreCursor() = default;
  virtual bool Valid() const = 0;
  // REQUIRES for the next three: Valid(). The views live until Next().
  virtual absl::string_view key() const = 0;
  virtual absl::string_view value() const = 0;
  virtual void Next() = 0;
  // Why Valid() is false: OK at the end of the range, else what failed.
  virtual absl::Status status() const = 0;
};

// What the spool asks of storage: an ordered map of byte strings that writes
// atomically. It is the seam to the disk; the spool's own logic stands above it
// and is the same for every store.
//
// One thread writes at a time; reads may come from any thread, during writes
// too.
class Store {
 public:
  virtual ~Store() = default;

  // Errors: whatever storage said. After an error nothing more may be written:
  // what reached the disk is not known, and syncing again would not make it
  // known. Where the disk is full (kResourceExhausted) Resume() leads on.
  virtual absl::Status Write(const StoreBatch& batch,
                             Durability durability) = 0;

  // The one way on, after a write failed with kResourceExhausted because the
  // disk is full: makes the store writable again, without what failed, in new
  // files; what failed to reach an old one is believed no more. Errors:
  // kResourceExhausted while there still is no space, and then it may be asked
  // again; after any other nothing more may be written.
  virtual absl::Status Resume() = 0;

  // What ReclaimSpace() goes by.
  struct SpaceNeeds {
    bool nearly_full = false;  // the disk
    // What is not deleted has about this many bytes.
    uint64_t live_bytes = 0;
    // Another thread sets it to end ReclaimSpace() early, and so does the store
    // itself when it finds no space for what it does. Not owned; not null.
    std::atomic<bool>* cancel = nullptr;
  };
  // To be called every few seconds, by one thread that is not the writing one.
  // On a disk that is nearly full it gives back the space of what was deleted,
  // which may take a while. Room that this takes itself is left when it begins.
  virtual void ReclaimSpace(const SpaceNeeds&) {}

  virtual absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const = 0;

  // Entries with begin <= key < end.
  virtual std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                            absl::string_view end) const = 0;

  // The entry with the greatest key in [begin, end).
  virtual absl::StatusOr<std::optional<std::pair<std::string, std::string>>>
  Last(absl::string_view begin, absl::string_view end) const = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_STORE_H_
