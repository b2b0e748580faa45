#ifndef HEAPSYNC_SERVER_DATA_BULK_PLACES_H_
#define HEAPSYNC_SERVER_DATA_BULK_PLACES_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <variant>

#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/stream/open_streams.h"
#include "server/access/access.h"
#include "server/access/call_slots.h"
#include "server/wire/rich_status.h"

namespace heapsync {

// The places for bulk streams. Where none is left, a stream that has been
// silent for long gives up its own: one of the same caller if that has its
// share, otherwise anyone's. Any thread.
class BulkPlaces {
 public:
  // A stream that is silent for less than `silent_time` keeps its place.
  BulkPlaces(CallSlots::Bounds bounds, Duration silent_time)
      : slots_(bounds), silent_time_(silent_time) {}

  // A place for a stream of `caller`, or RESOURCE_EXHAUSTED.
  std::variant<CallSlots::Slot, CallError> Take(const std::string& caller,
                                                MonotonicTime now);

  // The streams that have a place are to be added here.
  OpenStreams& streams() { return streams_; }

  const CallSlots& slots() const { return slots_; }
  // Since the start.
  uint64_t silent_ended() const { return silent_ended_.load(); }

 private:
  bool EndSilent(CallSlots::Shortage shortage, const std::string& caller,
                 MonotonicTime now);

  CallSlots slots_;
  const Duration silent_time_;
  OpenStreams streams_;
  std::atomic<uint64_t> silent_ended_{0};
  Mutex mutex_;
  // When to look for silent streams again: looking takes a while.
  MonotonicTime next_look_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_DATA_BULK_PLACES_H_
