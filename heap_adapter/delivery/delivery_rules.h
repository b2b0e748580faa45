#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_DELIVERY_RULES_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_DELIVERY_RULES_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "heap_adapter/delivery/overtakers.h"
#include "heap_adapter/model/destination.h"
#include "heap_adapter/scheduling/backoff.h"

namespace heapsync {

// Default of DeliveryRules::max_step_work.
inline constexpr uint64_t kMaxStepWork = 3'000'000;

struct DeliveryRules {
  // URL of each region: scheme and host, no slash at the end. In the order
  // of kRegions.
  std::array<std::string, kRegions.size()> region_urls = HeapUrls();
  static std::array<std::string, kRegions.size()> HeapUrls() {
    std::array<std::string, kRegions.size()> urls;
    for (const RegionRow& row : kRegions) {
      urls[IndexOf(row.region)] = std::string(row.url);
    }
    return urls;
  }

  // Requests in flight at once. Each holds one body in memory. The regions have
  // their own bounds, so that a region that hangs cannot take every slot.
  int max_in_flight = 80;
  int max_in_flight_per_region = 40;

  BackoffRules backoff;
  // A Retry-After of Heap's counts up to this. Larger: Heap is heeded longer,
  // but a mistaken or foreign response stops a destination longer.
  Duration max_retry_after = std::chrono::hours(1);
  // For how long one that comes with a failure, unlike one of a 429, stops what
  // it may not be meant for; grows with the failures in a row. Longer: an
  // outage with a Retry-After gets fewer requests, but a single item to which
  // Heap answers so holds up the others longer.
  BackoffRules heeded_backoff{.initial = std::chrono::seconds(4),
                              .factor = 2.0,
                              .cap = std::chrono::hours(1)};
  // For a destination that needs a person: asking often would not help.
  BackoffRules misconfigured_backoff{.initial = std::chrono::seconds(30),
                                     .min = std::chrono::seconds(5),
                                     .factor = 2.0,
                                     .cap = std::chrono::minutes(10)};

  // For an item that makes Heap fail: half of each wait is random. Longer: such
  // items cost fewer requests, but one that Heap takes later waits longer.
  BackoffRules isolated_backoff{.initial = std::chrono::minutes(1),
                                .factor = 2.0,
                                .cap = std::chrono::hours(1)};
  // Maximum wait of a destination, and between two requests of a region, while
  // nothing gets through to the region. Longer: an outage gets fewer requests,
  // but its end is noticed later.
  Duration probe_interval = std::chrono::seconds(1);

  // While a lane fails, a request that has no response for this long keeps no
  // other from probing. Longer: a slow Heap gets fewer requests at once, but
  // the end of an outage in which requests hang is noticed later.
  Duration hangs_after = std::chrono::milliseconds(600);
  // Between the beginnings of two probes of an endpoint, if the first hangs.
  // Longer: fewer requests hang at once, but the end is noticed later.
  Duration hanging_probe_interval = std::chrono::milliseconds(1'800);

  // After this long without any response, while none has failed, requests are
  // taken to hang. Shorter: the end of a short outage in which requests hang is
  // noticed sooner, but a Heap that is only slow gets small requests.
  Duration stalls_after = std::chrono::seconds(6);

  // An item is dead-lettered once an attempt made past this age has failed,
  // and nothing else of its type got through for a while.
  Duration max_age = std::chrono::hours(7 * 24);

  // The dispatcher turns to responses and newly accepted items after about this
  // much Work: some milliseconds. Larger: fuller batches where many items are
  // deferred or coalesced, but everything else waits longer.
  uint64_t max_step_work = kMaxStepWork;

  OvertakingBounds overtaking;

  // Attempts that are remembered, for receipts. Each costs some 200 bytes of
  // the spool.
  uint64_t max_attempts_kept = 200'000;

  // Requests carry the trace of the first of their items that has one.
  bool send_traceparent = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_DELIVERY_RULES_H_
