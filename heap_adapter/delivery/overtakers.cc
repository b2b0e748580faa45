#include "heap_adapter/delivery/overtakers.h"

#include <algorithm>

namespace heapsync {
namespace {

// With four bits for each item among sixteen, 3 of 1,000 identities are taken
// for one that is there.
constexpr size_t kBitsPerItem = 16;
constexpr int kBitsSet = 4;
constexpr size_t kBitsPerWord = 64;

// Each filter is four times as large as the one before, up to a bound.
constexpr size_t kFirstFilterItems = 4'096;
constexpr size_t kLastFilterItems = 262'144;
constexpr size_t kFilterGrowth = 4;

// Of a lane. Larger: more memory.
constexpr size_t kMaxWaiting = 4'096;
constexpr size_t kMaxRuns = 1'024;

// One lane's filters may take this part of the memory of all.
constexpr size_t kLaneShare = 8;

// The hash is even over its 64 bits already; its halves are independent.
template <typename Visit>
void VisitBits(uint64_t hash, size_t bits, Visit visit) {
  const uint64_t step = (hash >> 32) | 1;
  for (int i = 0; i < kBitsSet; ++i, hash += step) {
    const size_t bit = hash % bits;
    visit(bit / kBitsPerWord, uint64_t{1} << (bit % kBitsPerWord));
  }
}

}  // namespace

Overtakers::Filter::Filter(size_t max_items, Memory& memory)
    : max_items_(max_items),
      words_(max_items * kBitsPerItem / kBitsPerWord),
      memory_(&memory) {
  memory_->filter_bytes += bytes();
}

size_t Overtakers::Filter::BytesFor(size_t max_items) {
  return max_items * kBitsPerItem / 8;
}

void Overtakers::Filter::Add(Seq seq, uint64_t hash) {
  VisitBits(hash, words_.size() * kBitsPerWord,
            [this](size_t word, uint64_t bit) { words_[word] |= bit; });
  ++items_;
  end_ = seq + 1;
}

bool Overtakers::Filter::MayContain(uint64_t hash) const {
  bool all = true;
  VisitBits(hash, words_.size() * kBitsPerWord,
            [this, &all](size_t word, uint64_t bit) {
              all = all && (words_[word] & bit) != 0;
            });
  return all;
}

void Overtakers::OnAppended(SeqRange items, uint64_t caller,
                            absl::Span<const uint64_t> identities, Seq cursor,
                            const OvertakingBounds& bounds, Memory& memory) {
  Forget(cursor);
  const bool known =
      identities.size() == items.size() &&
      items.begin - std::min(items.begin, cursor) >= bounds.min_backlog;
  // Items that others appended in between are not known either.
  if (items.begin != end_ || !known) {
    unknown_end_ = std::max(unknown_end_, known ? items.begin : items.end);
  }
  end_ = std::max(end_, items.end);
  if (!known) return;
  for (Seq seq = items.begin; seq < items.end; ++seq) {
    const uint64_t hash = identities[seq - items.begin];
    const auto waiting = items_of_.find(caller);
    const uint64_t items_of_caller =
        waiting == items_of_.end() ? 0 : waiting->second;
    const bool few = items_of_caller < bounds.max_waiting;
    const bool overtakes =
        few && waiting_.size() < kMaxWaiting && !MayWait(hash);
    if (overtakes) {
      // Newer ones of its identity may stand behind it.
      ++items_of_[caller];
      waiting_.push_back({.seq = seq, .caller = caller});
      continue;
    }
    AddToRuns(seq, caller);
    if (!Remember(seq, hash, bounds, memory)) {
      unknown_end_ = std::max(unknown_end_, seq + 1);
    }
  }
}

std::optional<Seq> Overtakers::Next(Seq cursor) {
  Forget(cursor);
  if (cursor < unknown_end_ || waiting_.empty()) return std::nullopt;
  return waiting_.front().seq;
}

void Overtakers::Pop() {
  Uncount(waiting_.front().caller, 1);
  waiting_.pop_front();
}

void Overtakers::Forget(Seq cursor) {
  while (!filters_.empty() && filters_.front().end() <= cursor) {
    filters_.pop_front();
  }
  while (!waiting_.empty() && waiting_.front().seq < cursor) Pop();
  while (!runs_.empty() && runs_.front().end <= cursor) {
    Uncount(runs_.front().caller, runs_.front().items);
    runs_.pop_front();
  }
}

size_t Overtakers::FilterBytes() const {
  size_t bytes = 0;
  for (const Filter& filter : filters_) bytes += filter.bytes();
  return bytes;
}

bool Overtakers::MayWait(uint64_t hash) const {
  return std::any_of(
      filters_.begin(), filters_.end(),
      [hash](const Filter& filter) { return filter.MayContain(hash); });
}

bool Overtakers::Remember(Seq seq, uint64_t hash,
                          const OvertakingBounds& bounds, Memory& memory) {
  if (filters_.empty() || filters_.back().full()) {
    const size_t max_items =
        filters_.empty()
            ? kFirstFilterItems
            : std::min(kLastFilterItems,
                       filters_.back().max_items() * kFilterGrowth);
    const size_t bytes = Filter::BytesFor(max_items);
    if (memory.filter_bytes + bytes > bounds.max_filter_bytes ||
        FilterBytes() + bytes > bounds.max_filter_bytes / kLaneShare) {
      return false;
    }
    filters_.emplace_back(max_items, memory);
  }
  filters_.back().Add(seq, hash);
  return true;
}

// Beyond the bound, items of other callers than that of the newest run count
// for nobody.
void Overtakers::AddToRuns(Seq seq, uint64_t caller) {
  if (runs_.empty() ||
      (runs_.back().caller != caller && runs_.size() < kMaxRuns)) {
    runs_.push_back({.end = seq, .caller = caller, .items = 0});
  }
  Run& run = runs_.back();
  run.end = seq + 1;
  if (run.caller != caller) return;
  ++run.items;
  ++items_of_[caller];
}

void Overtakers::Uncount(uint64_t caller, uint64_t items) {
  const auto it = items_of_.find(caller);
  if (it == items_of_.end()) return;
  it->second -= std::min(it->second, items);
  if (it->second == 0) items_of_.erase(it);
}

}  // namespace heapsync
