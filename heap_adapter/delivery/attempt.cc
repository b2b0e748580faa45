#include "heap_adapter/delivery/attempt.h"

#include <algorithm>

namespace heapsync {

void ReportEnd(const Attempt& attempt, const Verdict& verdict,
               std::optional<Duration> next_try, Now now,
               const AttemptSink& sink) {
  WallTime oldest = now.wall;
  for (const BatchItem& item : attempt.batch.items) {
    oldest = std::min(oldest, item.accepted_at);
  }
  sink({.destination = attempt.lane->queue.destination(),
        .type = attempt.lane->type(),
        .batch_id = attempt.batch.id,
        .attempt_id = attempt.id,
        .tries = attempt.batch.tries,
        .items = attempt.batch.items,
        .ended_at = now.wall,
        .trace = attempt.trace,
        .verdict = verdict,
        .latency = now.monotonic - attempt.started.monotonic,
        .oldest_item_age = now.wall - oldest,
        .next_try_in = next_try});
}

}  // namespace heapsync
