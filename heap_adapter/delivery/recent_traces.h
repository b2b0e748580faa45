#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_RECENT_TRACES_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_RECENT_TRACES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "base/trace_context.h"
#include "heap_adapter/delivery/batch.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// The place of a request in a trace. Its items may have come in many traces; it
// belongs to that of the first item that has one, with a span of its own.
struct BatchTrace {
  TraceContext context;
  uint64_t span;  // of this attempt
};

// Trace contexts of recently accepted items. In memory only, and bounded: an
// item that waits for long, or over a restart, loses its
// trace, but no item costs the spool a byte for it.
class RecentTraces {
 public:
  // Keeps the last `max` appends that came with one; of the neighbours of one
  // trace it keeps one entry. Each costs some 100 bytes.
  explicit RecentTraces(size_t max) : max_(max) {}

  void Remember(LaneId lane, SeqRange items, const TraceContext& trace);

  // The trace of the first of `items` that has one; the updates coalesced into
  // an item are not asked.
  std::optional<TraceContext> FirstOf(
      LaneId lane, const std::vector<BatchItem>& items) const;

  // The place of a request with these items; none without a trace.
  std::optional<BatchTrace> TraceOf(LaneId lane,
                                    const std::vector<BatchItem>& items,
                                    AttemptId attempt, uint64_t spool_id) const;

  size_t size() const { return entries_.size(); }

 private:
  using Key = std::pair<LaneId, Seq>;  // the items' end
  struct Entry {
    Seq begin;
    TraceContext trace;
  };

  const size_t max_;
  absl::btree_map<Key, Entry> entries_;
  std::deque<Key> by_age_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_RECENT_TRACES_H_
