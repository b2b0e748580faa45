#ifndef HEAPSYNC_BASE_ROUND_ROBIN_QUEUE_H_
#define HEAPSYNC_BASE_ROUND_ROBIN_QUEUE_H_

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace heapsync {

// Entries of owners, which take turns: one of an owner, then one of the next.
// Those of one owner stay in order. An owner with few waits for few of each
// other, not for all. One thread at a time.
template <typename Owner, typename Entry>
class RoundRobinQueue {
 public:
  void Add(Owner owner, Entry entry) {
    const size_t place = Keep(std::move(entry));
    const auto [found, is_first] = queues_.try_emplace(owner, Queue{place});
    if (is_first) {
      turns_.push_back(std::move(owner));
    } else {
      places_[found->second.last].next = place;
    }
    found->second.last = place;
  }

  bool empty() const { return turns_.empty(); }

  // Takes the next. There must be one.
  Entry Next() {
    Owner owner = std::move(turns_.front());
    turns_.pop_front();
    const auto found = queues_.find(owner);
    Queue& queue = found->second;
    const size_t taken = queue.first;
    if (taken == queue.last) {
      queues_.erase(found);
    } else {
      queue.first = places_[taken].next;
      turns_.push_back(std::move(owner));
    }
    Entry next = std::move(places_[taken].entry);
    free_.push_back(taken);
    return next;
  }

 private:
  // The linked entries of one owner; at least one.
  struct Queue {
    size_t first = 0;
    size_t last = 0;
  };
  struct Place {
    Entry entry;
    size_t next = 0;  // of the same owner
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

  absl::flat_hash_map<Owner, Queue> queues_;
  std::deque<Owner> turns_;  // each owner with entries, once
  // Shared by the owners: with a queue of its own, each would cost an
  // allocation for every entry where there are many owners.
  std::vector<Place> places_;
  std::vector<size_t> free_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_BASE_ROUND_ROBIN_QUEUE_H_
