#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_RECORDS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "heap_adapter/base/clock.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/model/response_class.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// What the spool stores beside the items themselves. Each has Encode() and a
// static Decode() that gives kDataLoss for bytes that Encode() does not write.

// One lane for each destination and object type, and beside it one for the
// events of each caller that has a name: so that callers can take turns.
using LaneId = uint32_t;
struct LaneKey {
  std::string destination;
  ObjectType type = ObjectType::kTrackEvent;
  std::string caller;  // empty: of all who have no lane of their own

  std::string Encode() const;
  static absl::StatusOr<LaneKey> Decode(absl::string_view bytes);
  friend bool operator==(const LaneKey&, const LaneKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const LaneKey& key) {
    return H::combine(std::move(h), key.destination, key.type, key.caller);
  }
};

// How far a lane's delivery has come. An item is settled once its fate no
// longer depends on its block: delivered, dead-lettered, deferred, or merged
// into another.
struct LaneProgress {
  Seq low_watermark = 0;  // everything below is settled
  SeqSet settled;         // what is settled above it

  // Takes a range in, and raises the watermark as far as it now goes.
  void Settle(SeqRange range);
  bool IsSettled(Seq seq) const {
    return seq < low_watermark || settled.Contains(seq);
  }

  std::string Encode() const;
  static absl::StatusOr<LaneProgress> Decode(absl::string_view bytes);
};

// An item that waits on disk apart from its lane, because its identity may not
// be sent now: it is over a limit, or an older update of it is in flight.
struct DeferredItem {
  Seq seq = 0;
  WallTime accepted_at;
  uint64_t identity_hash = 0;
  uint32_t replays = 0;
  std::string text;

  std::string Encode() const;  // without seq and hash: they are the key
  static absl::StatusOr<DeferredItem> Decode(absl::string_view bytes);
};

// Why an item was given up. The numbers are stored.
enum class DeadLetterReason : uint8_t {
  kRefused = 1,   // Heap answered that it is invalid
  kTooLarge = 2,  // Heap answered 413 to the item alone
  kExpired = 3,   // it was older than the server's --max_age
  kDamaged = 4,   // its bytes on disk were damaged
};

inline constexpr size_t kDeadLetterReasons = 4;  // counted from one

// "REFUSED", "TOO_LARGE", "EXPIRED", "DAMAGED".
absl::string_view Name(DeadLetterReason reason);

struct DeadLetter {
  Seq seq = 0;
  DeadLetterReason reason = DeadLetterReason::kRefused;
  WallTime accepted_at;
  WallTime dead_lettered_at;
  uint64_t identity_hash = 0;
  uint32_t replays = 0;
  uint32_t http_status = 0;   // zero: Heap had no part in it
  std::string heap_response;  // Heap's text, cut to 2,048 bytes
  std::string text;           // the item's JSON; empty if it was damaged

  std::string Encode() const;  // without seq
  static absl::StatusOr<DeadLetter> Decode(absl::string_view bytes);
};

// One HTTP attempt to deliver a batch.
using AttemptId = uint64_t;  // grows with time, over restarts too
struct AttemptRecord {
  LaneId lane = 0;
  uint64_t batch_id = 0;  // the same for all attempts at one batch
  WallTime started_at;
  WallTime ended_at;
  MonotonicTime ended;  // since `epoch`, see Clock::Epoch()
  uint64_t epoch = 0;
  ResponseClass response_class = ResponseClass::kTransient;
  uint32_t http_status = 0;  // zero: no answer
  std::string summary;       // see Verdict::summary
  uint32_t items = 0;        // objects in the request
  SeqSet seqs;               // what they carried, merged items included
  // Items that travelled inside another one: (item, the one that carried it).
  std::vector<std::pair<Seq, Seq>> merged;

  std::string Encode() const;
  static absl::StatusOr<AttemptRecord> Decode(absl::string_view bytes);
};

// What an attempt takes from the limits, stored before it is sent so that a
// restart knows of it.
struct UsageRecord {
  LaneId lane = 0;
  std::vector<std::pair<uint64_t, uint32_t>> identities;  // hash, items
  // Of an attempt without a record of its end: when a start of the process
  // found it, by when it had ended; as in AttemptRecord. No start yet: zero.
  MonotonicTime ended;
  uint64_t epoch = 0;

  std::string Encode() const;
  static absl::StatusOr<UsageRecord> Decode(absl::string_view bytes);
};

// Which updates of users or accounts travel together. It is kept from before
// the first attempt until they are settled, so that after a restart the same
// request is sent again: were it cut anew, an old value could be sent alone
// after Heap took it together with the newer one.
struct PlanRecord {
  LaneId lane = 0;
  SeqSet main;                                     // from the lane's blocks
  std::vector<std::pair<uint64_t, Seq>> deferred;  // (identity hash, sequence)

  std::string Encode() const;
  static absl::StatusOr<PlanRecord> Decode(absl::string_view bytes);
};

// Where items went that no longer have a record of their own.
struct Forwarding {
  enum class Kind : uint8_t {
    kMerged = 1,
    kReplayed = 2,
    kDiscarded = 3,  // they went nowhere: somebody gave them up for good
  };
  Kind kind = Kind::kMerged;
  SeqRange from;
  Seq into = 0;  // means nothing where they were discarded
  WallTime at;

  std::string Encode() const;
  static absl::StatusOr<Forwarding> Decode(absl::string_view bytes);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_RECORDS_H_
