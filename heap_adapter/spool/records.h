#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_RECORDS_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_RECORDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/model/response_class.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// Records that the spool stores besides the items. Each has Encode() and a
// static Decode(), which returns kDataLoss for bytes that Encode() does not
// write.

// There is one lane per destination and object type, and another one for the
// events of each named caller, so that callers can be served in turn.
using LaneId = uint32_t;
struct LaneKey {
  std::string destination;
  ObjectType type = ObjectType::kTrackEvent;
  std::string caller;  // empty: callers without a lane of their own

  std::string Encode() const;
  static absl::StatusOr<LaneKey> Decode(absl::string_view bytes);
  friend bool operator==(const LaneKey&, const LaneKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const LaneKey& key) {
    return H::combine(std::move(h), key.destination, key.type, key.caller);
  }
};

// The end of a lane in a shared store: where the next item goes.
struct LaneEnd {
  Seq next = 0;
  uint64_t lane_bytes = 0;  // of text of all items before it

  std::string Encode() const;
  static absl::StatusOr<LaneEnd> Decode(absl::string_view bytes);
};

// Figures of a destination that the server that delivers publishes for those
// that only accept.
struct OwnerFigures {
  struct DeadLetters {
    LaneId lane = 0;
    uint64_t letters = 0;
    uint64_t bytes = 0;

    friend bool operator==(const DeadLetters&, const DeadLetters&) = default;
  };
  uint64_t queued_bytes = 0;
  // Seconds until the backlog is delivered; none: unknown.
  std::optional<uint64_t> drained_in;
  std::vector<DeadLetters> dead_letters;  // of the lanes that have some

  std::string Encode() const;
  static absl::StatusOr<OwnerFigures> Decode(absl::string_view bytes);
  friend bool operator==(const OwnerFigures&, const OwnerFigures&) = default;
};

// A change that a server asks of the one that delivers, with which it shares
// nothing but the store.
using CommandId = uint64_t;  // random, and never zero
struct CommandRecord {
  // The numbers are stored.
  enum class Kind : uint8_t {
    kFlush = 1,
    kPause = 2,
    kResume = 3,
    kReplay = 4,
    kDiscard = 5,
  };
  Kind kind = Kind::kFlush;
  // Raised from time to time as long as the answer is waited for.
  uint64_t beat = 0;
  std::string destination;  // its owner obeys; empty: all
  std::string server;       // that was asked, and
  std::string caller;       // by whom, for the log
  std::string body;         // of the dead letters: see DeadLetterOrder

  std::string Encode() const;
  static absl::StatusOr<CommandRecord> Decode(absl::string_view bytes);
};

// "Flush", "PauseDestination", …: the name of the method.
absl::string_view Name(CommandRecord::Kind kind);

// The answer to a command.
struct CommandAnswer {
  absl::Status status;
  std::string body;

  std::string Encode() const;
  static absl::StatusOr<CommandAnswer> Decode(absl::string_view bytes);
};

// Delivery progress of a lane. An item is settled once its block is no longer
// needed for it: it was delivered, dead-lettered, deferred, or coalesced into
// another item.
struct LaneProgress {
  Seq low_watermark = 0;  // everything below is settled
  SeqSet settled;         // settled items above it

  // Adds a range of settled items and raises the watermark if possible.
  void Settle(SeqRange range);
  bool IsSettled(Seq seq) const {
    return seq < low_watermark || settled.Contains(seq);
  }

  std::string Encode() const;
  static absl::StatusOr<LaneProgress> Decode(absl::string_view bytes);
};

// An item that is stored apart from its lane because nothing may be sent for
// its identity now: the identity is over its limit, or an older update of it is
// in flight.
struct DeferredItem {
  Seq seq = 0;
  WallTime accepted_at;
  uint64_t identity_hash = 0;
  uint32_t replays = 0;
  std::string text;

  std::string Encode() const;  // without seq and hash: they are the key
  static absl::StatusOr<DeferredItem> Decode(absl::string_view bytes);
};

// A deferred item that waits alone because Heap failed at it while others got
// through.
struct IsolatedItem {
  Seq seq = 0;
  uint64_t identity_hash = 0;
  uint32_t failures = 0;  // of requests with this item alone; at least one

  std::string Encode() const;  // without seq
  static absl::StatusOr<IsolatedItem> Decode(absl::string_view bytes);
};

// Reason for which an item was given up. The numbers are stored.
enum class DeadLetterReason : uint8_t {
  kRefused = 1,   // Heap rejected it as invalid
  kTooLarge = 2,  // Heap answered 413 to a request with this item alone
  kExpired = 3,   // it was older than the server's --max_age
  kDamaged = 4,   // it was damaged on disk
};

inline constexpr size_t kDeadLetterReasons = 4;  // counted from one

// "REFUSED", "TOO_LARGE", "EXPIRED", "DAMAGED".
absl::string_view Name(DeadLetterReason reason);

// Numbers of dead letters by DeadLetterReason. The first one, zero, stands for
// records whose reason cannot be read.
template <typename T>
using CountsByReason = std::array<T, kDeadLetterReasons + 1>;

struct DeadLetter {
  Seq seq = 0;
  DeadLetterReason reason = DeadLetterReason::kRefused;
  WallTime accepted_at;
  WallTime dead_lettered_at;
  uint64_t identity_hash = 0;
  uint32_t replays = 0;
  uint32_t http_status = 0;   // zero: Heap was not the cause
  std::string heap_response;  // body of the response, cut to 2,048 bytes
  std::string text;           // the item's JSON; empty if it was damaged

  std::string Encode() const;  // without seq
  static absl::StatusOr<DeadLetter> Decode(absl::string_view bytes);
  // The reason's number in an encoded dead letter, without decoding the rest;
  // zero if it is none.
  static size_t ReasonNumber(absl::string_view bytes);
};

// One HTTP attempt to deliver a batch.
using AttemptId = uint64_t;  // increases with time, also across restarts
struct AttemptRecord {
  LaneId lane = 0;
  uint64_t batch_id = 0;  // the same for all attempts to send one batch
  WallTime started_at;
  WallTime ended_at;
  MonotonicTime ended;  // relative to `epoch`, see Clock::Epoch()
  uint64_t epoch = 0;
  ResponseClass response_class = ResponseClass::kTransient;
  uint32_t http_status = 0;  // zero: no response
  std::string summary;       // see Verdict::summary
  uint32_t items = 0;        // objects in the request
  SeqSet seqs;               // their items, including coalesced ones
  // Coalesced items: (item, the item that carried it).
  std::vector<std::pair<Seq, Seq>> coalesced;

  std::string Encode() const;
  static absl::StatusOr<AttemptRecord> Decode(absl::string_view bytes);
};

// Usage of the limits by an attempt. Stored before the attempt is sent, so that
// it is known after a restart.
struct UsageRecord {
  LaneId lane = 0;
  std::vector<std::pair<uint64_t, uint32_t>> identities;  // hash, items
  // For an interrupted attempt: the time at which recovery found it, which is
  // an upper bound of its end; as in AttemptRecord. Zero before recovery.
  MonotonicTime ended;
  uint64_t epoch = 0;

  std::string Encode() const;
  static absl::StatusOr<UsageRecord> Decode(absl::string_view bytes);
};

// The user or account updates of one request. Kept from before the first
// attempt until they are settled, so that the same request is sent again after
// a restart. If the batch were formed again, an old value could be sent alone
// after Heap had already taken it together with the newer one.
struct PlanRecord {
  LaneId lane = 0;
  SeqSet main;                                     // from the lane's blocks
  std::vector<std::pair<uint64_t, Seq>> deferred;  // (identity hash, sequence)

  std::string Encode() const;
  static absl::StatusOr<PlanRecord> Decode(absl::string_view bytes);
};

// Destination of items that no longer have a record of their own.
struct Forwarding {
  enum class Kind : uint8_t {
    kCoalesced = 1,
    kReplayed = 2,
    kDiscarded = 3,  // permanently removed by an operator
  };
  Kind kind = Kind::kCoalesced;
  SeqRange from;
  Seq into = 0;  // unused for kDiscarded
  WallTime at;
  CommandId by = 0;  // zero: no command

  std::string Encode() const;
  static absl::StatusOr<Forwarding> Decode(absl::string_view bytes);
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_RECORDS_H_
