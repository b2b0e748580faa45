#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_RESPONSE_HANDLER_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_RESPONSE_HANDLER_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "heap_adapter/delivery/attempt.h"
#include "heap_adapter/delivery/attempt_history.h"
#include "heap_adapter/delivery/delivery_rules.h"
#include "heap_adapter/delivery/region_slots.h"
#include "heap_adapter/spool/spool.h"
#include "heap_adapter/transport/classify.h"
#include "heap_adapter/transport/transport.h"

namespace heapsync {

// The hand-over "Outcome": what a response of Heap means goes through the lane
// into one change, and only when that is stored do those who wait for the items
// hear of it.
//
// Decides what follows for the items (delivered, sent again, split, isolated or
// dead-lettered), for the lane (backoff), for the destination (hold,
// concurrency, rate) and for the region (silence). Sends and stores nothing
// itself. One thread.
class ResponseHandler {
 public:
  // The references must outlive this. `random01` gives numbers drawn evenly
  // from [0, 1).
  ResponseHandler(const DeliveryRules& rules, AttemptHistory& history,
                  RegionSlots& regions, std::function<double()> random01)
      : rules_(rules),
        history_(history),
        regions_(regions),
        random01_(std::move(random01)) {}

  // See Clock::Epoch(). Call once, first.
  void SetEpoch(uint64_t epoch) { epoch_ = epoch; }

  // Ends the attempt: adds to `change` everything that is to be stored. Gives
  // the time until the batch is sent again; none if it is not, as it was.
  // REQUIRES: DestinationQueue::End() was called for the attempt.
  std::optional<Duration> Handle(const Attempt& attempt, const Verdict& verdict,
                                 const HeapResponse& response, Now now,
                                 SpoolChange& change);

 private:
  void Record(const Attempt& attempt, const Verdict& verdict,
              const HeapResponse& response, Now now, SpoolChange& change);
  std::optional<Duration> Decide(const Attempt& attempt, const Verdict& verdict,
                                 const HeapResponse& response, Now now,
                                 SpoolChange& change);
  Duration OnThrottled(const Attempt& attempt, const Verdict& verdict, Now now,
                       SpoolChange& change);
  Duration OnTransient(const Attempt& attempt, const Verdict& verdict,
                       const HeapResponse& response, Now now,
                       SpoolChange& change);
  Duration OnWrongSetUp(const Attempt& attempt, const Verdict& verdict,
                        const HeapResponse& response, Now now,
                        SpoolChange& change);
  Duration Take(const Attempt& attempt, Suspicion::Step step, BatchPlan plan,
                const Verdict& verdict, Duration wait, Now now,
                SpoolChange& change);
  bool SaysNothing(const Attempt& attempt) const;
  BatchPlan FailedPlan(const Attempt& attempt, Now now);
  std::optional<WallTime> ExpiresBefore(const Attempt& attempt, Now now);
  Duration Heeded(const Verdict& verdict, int failures) const;
  Duration BackOff(const Attempt& attempt, const Verdict& verdict, Now now);
  Duration WaitAlone(int failures, const Verdict& verdict);
  void Divide(const Attempt& attempt, Lane::Place place, Now now,
              SpoolChange& change);
  bool IsSpared(const Attempt& attempt, Now now);
  void Split(const Attempt& attempt, const Verdict& verdict,
             const HeapResponse& response, Now now, SpoolChange& change);
  void Prune(QueuedLane& lane, Now now, SpoolChange& change);

  const DeliveryRules& rules_;
  AttemptHistory& history_;
  RegionSlots& regions_;
  const std::function<double()> random01_;
  uint64_t epoch_ = 0;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_RESPONSE_HANDLER_H_
