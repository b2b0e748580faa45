#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINE_SNAPSHOT_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINE_SNAPSHOT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "heap_adapter/clock/clock.h"
#include "heap_adapter/engine/lane.h"
#include "heap_adapter/model/destination.h"

namespace heapsync {

enum class DestinationState {
  kActive,
  kBackingOff,      // Heap or the way to it fails; a probe goes out at times
  kNeedsAttention,  // it is misconfigured; everything is kept
  kPaused,          // somebody paused it
};

// "active", "backing_off", "needs_attention", "paused".
absl::string_view Name(DestinationState state);

struct LaneSnapshot {
  ObjectType type;
  uint64_t queued_items;  // not yet delivered or dead-lettered
  uint64_t queued_bytes;
  uint64_t aside_items;  // of these: set aside for their identity's limit
  std::optional<WallTime> oldest_accepted_at;
  LaneCounts counts;
};

// One destination at one moment.
struct DestinationSnapshot {
  std::string name;
  Region region;
  std::string masked_app_id;
  DestinationState state;
  std::string last_error;  // empty: none since the start
  std::optional<WallTime> last_error_at;
  std::vector<LaneSnapshot> lanes;
  int requests_under_way;
  int concurrency_limit;
  uint64_t allowance_used;   // events that count against the limit now
  uint64_t allowance_total;  // zero: unlimited
  // When what waits will be delivered, if it goes on as now and no more comes;
  // none while it is held.
  std::optional<Duration> drained_in;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINE_SNAPSHOT_H_
