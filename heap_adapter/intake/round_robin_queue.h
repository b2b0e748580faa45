#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_ROUND_ROBIN_QUEUE_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_ROUND_ROBIN_QUEUE_H_

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// Entries of lanes, which take turns: one of a lane, then one of the next.
// Those of one lane stay in order. A lane with few waits for few of each other,
// not for all. One thread at a time.
template <typename Entry>
class RoundRobinQueue {
 public:
  void Add(LaneId lane, Entry entry) {
    const size_t place = Keep(std::move(entry));
    const auto [found, is_first] = queues_.try_emplace(lane, Queue{place});
    if (is_first) {
      turns_.push_back(lane);
    } else {
      places_[found->second.last].next = place;
    }
    found->second.last = place;
  }

  bool empty() const { return turns_.empty(); }

  // Takes the next. There must be one.
  Entry Next() {
    const LaneId lane = turns_.front();
    turns_.pop_front();
    const auto found = queues_.find(lane);
    Queue& queue = found->second;
    const size_t taken = queue.first;
    if (taken == queue.last) {
      queues_.erase(found);
    } else {
      queue.first = places_[taken].next;
      turns_.push_back(lane);
    }
    Entry next = std::move(places_[taken].entry);
    free_.push_back(taken);
    return next;
  }

 private:
  // The linked entries of one lane; at least one.
  struct Queue {
    size_t first = 0;
    size_t last = 0;
  };
  struct Place {
    Entry entry;
    size_t next = 0;  // of the same lane
  };

  size_t Keep(Entry entry) {
    if (free_.empty()) {
      places_.push_back({.entry = std::move(entry)});
      return places_.size() - 1;
    }
    const size_t place = free_.back();
    free_.pop_back();
    places_[place] = {.entry = std::move(entry)};
    return place;
  }

  absl::flat_hash_map<LaneId, Queue> queues_;
  std::deque<LaneId> turns_;  // each lane with entries, once
  // Shared by the lanes: with a queue of its own, each would cost an allocation
  // for every entry where there are many lanes.
  std::vector<Place> places_;
  std::vector<size_t> free_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_ROUND_ROBIN_QUEUE_H_
