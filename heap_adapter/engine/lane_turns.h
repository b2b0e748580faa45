#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINE_LANE_TURNS_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINE_LANE_TURNS_H_

#include <cstddef>
#include <deque>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// Entries of lanes, which take turns: one of a lane, then one of the next.
// Those of one lane stay in order. A lane with few waits for few of each other,
// not for all. One thread at a time.
template <typename Entry>
class LaneTurns {
 public:
  void Add(LaneId lane, Entry entry) {
    std::deque<Entry>& entries = entries_[lane];
    if (entries.empty()) turns_.push_back(lane);
    entries.push_back(std::move(entry));
  }

  bool empty() const { return turns_.empty(); }

  // Takes the next. There must be one.
  Entry Next() {
    const LaneId lane = turns_.front();
    turns_.pop_front();
    const auto found = entries_.find(lane);
    Entry next = std::move(found->second.front());
    found->second.pop_front();
    if (found->second.empty()) {
      entries_.erase(found);
    } else {
      turns_.push_back(lane);
    }
    return next;
  }

 private:
  absl::flat_hash_map<LaneId, std::deque<Entry>> entries_;  // none is empty
  std::deque<LaneId> turns_;  // each lane with entries, once
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINE_LANE_TURNS_H_
