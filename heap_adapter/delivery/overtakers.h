#ifndef HEAPSYNC_HEAP_ADAPTER_DELIVERY_OVERTAKERS_H_
#define HEAPSYNC_HEAP_ADAPTER_DELIVERY_OVERTAKERS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "heap_adapter/spool/seq_set.h"

namespace heapsync {

// Bounds of all lanes' Overtakers together.
struct OvertakingBounds {
  // Items that wait in a lane before others may overtake them: about what goes
  // with the next requests anyway.
  uint64_t min_backlog = 1'000;
  // A caller of whom more items wait overtakes nobody.
  uint64_t max_waiting = 1'000;
  // Memory of the filters; an eighth of it for one lane.
  size_t max_filter_bytes = 32 << 20;
};

// Items of one lane that may go before a long backlog of another caller's.
// Updates of an identity stay in order: an item overtakes only if, when it
// came, no older one of its identity was certain or likely to be among those
// that it overtakes; those that overtake do so in their order. Likely, because
// the identities of a backlog are kept in Bloom filters, of two bytes an item.
// One thread.
class Overtakers {
 public:
  // The memory that filters take, of all lanes. Outlives them.
  struct Memory {
    size_t filter_bytes = 0;
  };

  // Identities of items before `head` are not known: nothing overtakes them.
  explicit Overtakers(Seq head) : end_(head), unknown_end_(head) {}

  // Items came whose identities have these hashes, from `caller`, by any
  // number that tells callers apart. The items from `cursor` on wait. Items
  // that are left out, or whose hashes are, are not known.
  void OnAppended(SeqRange items, uint64_t caller,
                  absl::Span<const uint64_t> identities, Seq cursor,
                  const OvertakingBounds& bounds, Memory& memory);

  // The next item that may go; none if there is none now. Items before `cursor`
  // have gone. In ascending order.
  std::optional<Seq> Next(Seq cursor);
  // REQUIRES: Next() gave one.
  void Pop();

 private:
  // The identities of consecutive items up to `end`.
  class Filter {
   public:
    Filter(size_t max_items, Memory& memory);
    ~Filter() { memory_->filter_bytes -= bytes(); }
    Filter(const Filter&) = delete;
    Filter& operator=(const Filter&) = delete;

    static size_t BytesFor(size_t max_items);
    void Add(Seq seq, uint64_t hash);
    bool MayContain(uint64_t hash) const;
    bool full() const { return items_ >= max_items_; }
    Seq end() const { return end_; }
    size_t max_items() const { return max_items_; }
    size_t bytes() const { return words_.size() * sizeof(uint64_t); }

   private:
    const size_t max_items_;
    size_t items_ = 0;
    Seq end_ = 0;
    std::vector<uint64_t> words_;
    Memory* memory_;
  };
  struct Waiting {
    Seq seq;
    uint64_t caller;
  };
  // Items that overtake nobody, up to `end`, and how many are of the caller.
  struct Run {
    Seq end;
    uint64_t caller;
    uint64_t items;
  };

  void Forget(Seq cursor);
  size_t FilterBytes() const;
  bool MayWait(uint64_t hash) const;
  // False if there is no memory for it.
  bool Remember(Seq seq, uint64_t hash, const OvertakingBounds& bounds,
                Memory& memory);
  void AddToRuns(Seq seq, uint64_t caller);
  void Uncount(uint64_t caller, uint64_t items);

  Seq end_;          // of the items that came
  Seq unknown_end_;  // of those whose identities are not known
  std::list<Filter> filters_;
  std::list<Waiting> waiting_;
  std::list<Run> runs_;
  absl::flat_hash_map<uint64_t, uint64_t> items_of_;  // by caller, of both
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_DELIVERY_OVERTAKERS_H_
