#ifndef HEAPSYNC_HEAP_ADAPTER_ENGINE_SETTLEMENT_H_
#define HEAPSYNC_HEAP_ADAPTER_ENGINE_SETTLEMENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// How the items of one append ended.
struct Settlement {
  uint64_t delivered = 0;
  uint64_t dead_lettered = 0;
};

// Called once, from the dispatcher's thread, when the last item's end is
// stored. Must not block.
using SettledCallback = absl::AnyInvocable<void(Settlement)>;

// Who waits for the end of which items of a lane. One thread.
class SettlementWaiters {
 public:
  // `items` must not overlap those of another append.
  void WaitForItems(SeqRange items, SettledCallback callback);
  // Waits for `count` items below `end` to end: all of those that have not yet,
  // but for what travels inside another. REQUIRES: `end` is the lane's head.
  void WaitForAllBelow(Seq end, uint64_t count, SettledCallback callback);

  // Item `seq` travels inside item `into` from now on.
  void Forward(Seq seq, Seq into);
  // Item `seq` ended, and with it whatever was forwarded into it.
  void End(Seq seq, bool delivered);

  // Waiters whose last item ended since the last call; call them once that is
  // stored.
  std::vector<std::pair<SettledCallback, Settlement>> TakeFinished();

  bool empty() const { return by_begin_.empty() && flushes_.empty(); }

 private:
  struct Waiter {
    Seq end;
    uint64_t remaining;
    SettledCallback callback;
    Settlement so_far;
  };

  void Count(Waiter& waiter, bool delivered);

  absl::btree_map<Seq, Waiter> by_begin_;
  std::vector<Waiter> flushes_;
  absl::flat_hash_map<Seq, std::vector<Seq>> forwarded_;
  std::vector<std::pair<SettledCallback, Settlement>> finished_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_ENGINE_SETTLEMENT_H_
