#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_SNAPSHOT_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_SNAPSHOT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "heap_adapter/delivery/lane.h"
#include "heap_adapter/intake/dead_letter_usage.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/response_class.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

enum class DestinationState {
  kActive,
  kBackingOff,      // Heap or the way to it fails; a probe goes out at times
  kNeedsAttention,  // it is misconfigured; everything is kept
  kPaused,          // paused by a person
};

inline constexpr std::array<DestinationState, 4> kDestinationStates = {
    DestinationState::kActive, DestinationState::kBackingOff,
    DestinationState::kNeedsAttention, DestinationState::kPaused};

// "active", "backing_off", "needs_attention", "paused".
absl::string_view Name(DestinationState state);

struct LaneSnapshot {
  LaneId id;
  ObjectType type;
  std::string caller;     // see LaneKey
  uint64_t queued_items;  // not yet delivered or dead-lettered
  uint64_t queued_bytes;
  uint64_t deferred_items;      // of the queued ones
  uint64_t isolated_items;      // of the deferred ones: see Suspicion
  double delivered_per_second;  // over the last minute
  LaneCounts counts;
  // The range in which the oldest waiting item is.
  SeqRange unsettled;
  std::vector<uint64_t> some_deferred_identities;
};

// When the oldest item that waits in a lane was accepted; of those deferred it
// looks at some. None if nothing waits any more. Reads the spool: not for the
// dispatcher's thread, which reads only what it is about to send. Errors: those
// of reading.
absl::StatusOr<std::optional<WallTime>> OldestWaiting(const Spool& spool,
                                                      const LaneSnapshot& lane);

// Numbers of one type over the lanes of all callers. Ranges and identities are
// not summed.
struct TypeNumbers {
  uint64_t queued_items = 0;
  uint64_t queued_bytes = 0;
  uint64_t deferred_items = 0;
  uint64_t isolated_items = 0;
  double delivered_per_second = 0;
  LaneCounts counts;
  std::optional<WallTime> oldest_waiting;

  void Add(const LaneSnapshot& lane, std::optional<WallTime> oldest);
};

// A request that waits for its answer.
struct InFlightAttempt {
  AttemptId id;
  uint64_t batch_id;
  WallTime started_at;
  uint32_t items;  // objects in the request
  SeqSet seqs;     // what they carry, coalesced items included
};

// One destination at one moment.
struct DestinationSnapshot {
  // False: another server delivers it, and only what was accepted here is
  // known.
  bool delivers = true;
  std::string name;
  Region region;
  std::string masked_app_id;
  DestinationState state;
  std::string last_error;  // empty: none since the start
  ErrorOrigin last_error_origin;
  std::optional<WallTime> last_error_at;
  std::vector<ObjectType> refused_types;  // of which every request is refused
  std::vector<LaneSnapshot> lanes;
  int in_flight_requests;
  int concurrency_limit;
  uint64_t allowance_used;   // events that count against the limit now
  uint64_t allowance_total;  // zero: unlimited
  bool limit_holds_events;   // some wait for no other reason than the limit
  // When what waits will be delivered, if it goes on as now and no more comes:
  // events at the pace of the limit, the rest at that of the last minute. None
  // while the destination is held, or if nothing went in the last minute.
  std::optional<Duration> drained_in;
  // The engine knows these, not the dispatcher.
  DeadLetterTotals dead_letters = {};
  uint64_t max_dead_letter_bytes = 0;
  // The server that delivers it, if the spool is shared.
  std::string delivered_by = {};
};

// How much goes through one destination, without any text: cheap enough to be
// asked of ten thousand at an interval.
struct DestinationFlow {
  const Destination* destination;  // of the engine; see FindDestination()
  uint64_t accepted = 0;           // items since the start
  uint64_t delivered = 0;          // the same
  uint64_t queued_items = 0;
  uint64_t allowance_used = 0;   // see DestinationSnapshot
  uint64_t allowance_total = 0;  // zero: unlimited
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_SNAPSHOT_H_
