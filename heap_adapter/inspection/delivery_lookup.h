#ifndef HEAPSYNC_HEAP_ADAPTER_INSPECTION_DELIVERY_LOOKUP_H_
#define HEAPSYNC_HEAP_ADAPTER_INSPECTION_DELIVERY_LOOKUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "heap_adapter/delivery/snapshot.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// State of an item's delivery.
enum class ItemState {
  kWaiting,
  kDeferred,
  kIsolated,  // deferred because Heap fails at it; tried alone at intervals
  kInFlight,
  kDelivered,
  kCoalesced,  // it travels, or travelled, inside another one
  kDeadLettered,
  kReplayed,   // it was a dead letter, and is another item now
  kDiscarded,  // it was a dead letter, and is gone
};

// One request that carried an item.
struct ItemAttempt {
  uint64_t batch_id = 0;
  WallTime started_at;
  // The rest is not set while the request is in flight.
  std::optional<WallTime> ended_at;
  std::optional<ResponseClass> response_class;
  uint32_t http_status = 0;
  std::string summary;
  uint32_t items = 0;  // objects in the request
};

struct ItemDelivery {
  Seq seq = 0;
  ItemState state = ItemState::kWaiting;
  // With kCoalesced and kReplayed: the item that it became part of or is now,
  // and what became of that one at the end of all that followed.
  std::optional<Seq> into;
  ItemState into_state = ItemState::kWaiting;
  // With kDeadLettered.
  std::optional<DeadLetterReason> reason;
  // Those that are remembered, oldest first; the latest kMaxItemAttempts.
  std::vector<ItemAttempt> attempts;
};
inline constexpr size_t kMaxItemAttempts = 100;

// Tells what became of a lane's items, from what the spool holds: restarts
// change nothing. `in_flight` is what the dispatcher said before the call. The
// work grows with the items: let there be few.
//
// Reads the spool: not for the dispatcher's thread. Errors: kNotFound if the
// lane never had one of the items, and those of reading.
absl::StatusOr<std::vector<ItemDelivery>> LookUpDeliveries(
    const Spool& spool, LaneId lane, const std::vector<SeqRange>& items,
    const std::vector<InFlightAttempt>& in_flight);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INSPECTION_DELIVERY_LOOKUP_H_
