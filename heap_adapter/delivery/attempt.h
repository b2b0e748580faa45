#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_ATTEMPT_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_ATTEMPT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "heap_adapter/delivery/batch.h"
#include "heap_adapter/delivery/destination_queue.h"
#include "heap_adapter/delivery/recent_traces.h"
#include "heap_adapter/delivery/region_slots.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/transport/classify.h"

namespace heapsync {

// A request that waits for its response.
struct Attempt {
  AttemptId id;
  QueuedLane* lane;  // never null
  Batch batch;
  Now started;
  std::optional<BatchTrace> trace = std::nullopt;
  Region region = Region::kUs;  // whose slot it holds
  RequestRole role = RequestRole::kUsual;
  // In which it hangs.
  std::optional<RegionSlots::Silence> silence = std::nullopt;
  bool given_up = false;  // others got through that were sent later

  Endpoint endpoint() const { return {.region = region, .type = lane->type()}; }
};

// A request that has ended, for logs and metrics. References live until the
// sink returns.
struct AttemptEvent {
  const Destination& destination;
  ObjectType type;
  uint64_t batch_id;
  AttemptId attempt_id;
  int tries;
  const std::vector<BatchItem>& items;
  WallTime ended_at;
  const std::optional<BatchTrace>& trace;
  const Verdict& verdict;
  Duration latency;          // of the request
  Duration oldest_item_age;  // since acceptance
  std::optional<Duration> next_try_in;
};

// Items that became dead letters because of their age, for logs. The reference
// lives until the sink returns.
struct ExpiryEvent {
  const Destination& destination;
  ObjectType type;
  uint64_t items;
};

// Called on the dispatcher's thread; must not block.
using AttemptSink = std::function<void(const AttemptEvent&)>;
using ExpirySink = std::function<void(const ExpiryEvent&)>;

// Tells `sink` of a request that has ended at `now`.
void ReportEnd(const Attempt& attempt, const Verdict& verdict,
               std::optional<Duration> next_try, Now now,
               const AttemptSink& sink);

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_ATTEMPT_H_
