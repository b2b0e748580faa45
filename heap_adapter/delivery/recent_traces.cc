#include "heap_adapter/delivery/recent_traces.h"

#include <algorithm>

namespace heapsync {

void RecentTraces::Remember(LaneId lane, SeqRange items,
                            const TraceContext& trace) {
  if (max_ == 0) return;
  // The chunks of a stream follow each other.
  if (!by_age_.empty() && by_age_.back() == Key(lane, items.begin)) {
    const auto last = entries_.find(by_age_.back());
    if (last->second.trace == trace) {
      const Entry grown = last->second;
      entries_.erase(last);
      by_age_.back() = {lane, items.end};
      entries_.emplace(by_age_.back(), grown);
      return;
    }
  }
  if (by_age_.size() == max_) {
    entries_.erase(by_age_.front());
    by_age_.pop_front();
  }
  by_age_.emplace_back(lane, items.end);
  entries_.insert_or_assign(by_age_.back(),
                            Entry{.begin = items.begin, .trace = trace});
}

std::optional<TraceContext> RecentTraces::FirstOf(
    LaneId lane, const std::vector<BatchItem>& items) const {
  if (entries_.empty() || items.empty()) return std::nullopt;
  // One look for the whole request, since most have no trace at all.
  const auto [first, last] = std::minmax_element(
      items.begin(), items.end(),
      [](const BatchItem& a, const BatchItem& b) { return a.seq < b.seq; });
  const auto any = entries_.upper_bound({lane, first->seq});
  if (any == entries_.end() || any->first.first != lane ||
      any->second.begin > last->seq) {
    return std::nullopt;
  }
  for (const BatchItem& item : items) {
    const auto entry = entries_.upper_bound({lane, item.seq});
    if (entry != entries_.end() && entry->first.first == lane &&
        entry->second.begin <= item.seq) {
      return entry->second.trace;
    }
  }
  return std::nullopt;
}

std::optional<BatchTrace> RecentTraces::TraceOf(
    LaneId lane, const std::vector<BatchItem>& items, AttemptId attempt,
    uint64_t spool_id) const {
  const auto context = FirstOf(lane, items);
  if (!context.has_value()) return std::nullopt;
  // Attempts of other spools must not get the same span in one trace, and zero
  // is none. The multiplier is that of Knuth's 64-bit congruential generator.
  const uint64_t span = (attempt ^ spool_id) * 6'364'136'223'846'793'005u;
  return BatchTrace{.context = *context, .span = std::max<uint64_t>(span, 1)};
}

}  // namespace heapsync
