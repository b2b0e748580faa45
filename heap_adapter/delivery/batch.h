#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_BATCH_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/encoding/batch_body.h"
#include "heap_adapter/encoding/coalesced_update.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/block.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// One object of a request.
struct BatchItem {
  Seq seq = 0;
  uint64_t identity_hash = 0;
  WallTime accepted_at;
  uint32_t replays = 0;
  uint32_t bytes = 0;          // of all texts that went into it
  bool deferred = false;       // it comes from the items deferred
  std::vector<Seq> coalesced;  // later updates that travel inside it
};

// How far a plan is suspected of making Heap fail by its content; see
// Suspicion.
enum class Standing : uint8_t {
  kTrusted,    // it may fail, but so may anything
  kSuspected,  // tried beside the others, whole or in parts
  kIsolated,   // one item that fails alone while others get through
};

// Which items a request is made of: all that is kept of one between attempts,
// so that an outage costs little memory. The bodies are read again.
struct BatchPlan {
  uint64_t id = 0;
  int tries = 0;
  AttemptId stored_as = 0;  // of its PlanRecord; zero: it has none
  // A part of a batch that Heap refused. It may get smaller but never larger,
  // or the search for what was refused would not end.
  bool part = false;
  Standing standing = Standing::kTrusted;
  int failures = 0;  // in a row, that the content may have caused
  // Suspicion::deliveries() when it was suspected; before that, at the last of
  // these failures.
  uint64_t deliveries = 0;
  // Items accepted before this time are given up as expired: an attempt made
  // past their age has failed.
  std::optional<WallTime> expires_before = std::nullopt;
  SeqSet main;                                     // from the lane's blocks
  std::vector<std::pair<uint64_t, Seq>> deferred;  // (identity hash, sequence)

  bool empty() const { return main.empty() && deferred.empty(); }
  void Add(const BatchItem& item);
};

// A request before its sending.
struct Batch {
  uint64_t id = 0;
  int tries = 0;
  AttemptId stored_as = 0;  // see BatchPlan
  bool part = false;        // see BatchPlan
  Standing standing = Standing::kTrusted;
  int failures = 0;         // see BatchPlan
  uint64_t deliveries = 0;  // see BatchPlan
  std::vector<BatchItem> items;
  std::string body;

  // The plan of items [begin, end).
  BatchPlan PlanOf(size_t begin, size_t end) const;
  SeqSet Seqs() const;
};

// Puts items into one request until it is full. If the type coalesces, updates
// of one identity become one object.
class BatchBuilder {
 public:
  enum class Added {
    kYes,
    kFull,  // no space; nothing was added
    // An update of the same identity that cannot be coalesced, or would make
    // the request too large; nothing was added.
    kConflict,
  };

  BatchBuilder(const AppId& app_id, ObjectType type, uint32_t max_items,
               size_t max_bytes);

  // `item.text` is copied.
  Added Add(const StoredItem& item, bool deferred);
  bool full() const { return items_.size() >= max_items_; }
  size_t size() const { return items_.size(); }
  // Of the request so far.
  size_t bytes() const { return items_.empty() ? 0 : BodyBytes(); }
  // Work of coalescing so far.
  uint64_t work() const { return work_; }

  // None if nothing was added.
  std::optional<Batch> Finish() &&;

 private:
  size_t BodyBytes() const;
  Added Coalesce(size_t index, const StoredItem& item);

  const bool coalesces_;
  const uint32_t max_items_;
  const size_t max_bytes_;
  BatchBody body_;
  std::vector<BatchItem> items_;
  // For types that coalesce: the objects so far, and where each identity
  // stands.
  std::vector<CoalescedUpdate> objects_;
  size_t text_bytes_ = 0;
  uint64_t work_ = 0;
  absl::flat_hash_map<uint64_t, size_t> by_identity_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_BATCH_H_
