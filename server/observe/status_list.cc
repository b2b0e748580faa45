#include "server/observe/status_list.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace heapsync {
namespace {

// A destination that matches, with what it is sorted by.
struct Match {
  ListedDestination listed;
  size_t place;  // in the configuration
  double key = 0;
};

TypeNumbers SumOf(const DestinationStatus& destination) {
  TypeNumbers sum;
  for (size_t i = 0; i < destination.snapshot.lanes.size(); ++i) {
    sum.Add(destination.snapshot.lanes[i], destination.oldest_waiting[i]);
  }
  return sum;
}

void Add(const DeadLetterTotals& letters, DeadLetterTotals& sum) {
  sum.letters += letters.letters;
  sum.bytes += letters.bytes;
  for (size_t i = 0; i < sum.by_reason.size(); ++i) {
    sum.by_reason[i] += letters.by_reason[i];
  }
}

void Add(const TypeNumbers& numbers, TypeNumbers& sum) {
  sum.queued_items += numbers.queued_items;
  sum.queued_bytes += numbers.queued_bytes;
  sum.deferred_items += numbers.deferred_items;
  sum.isolated_items += numbers.isolated_items;
  sum.counts.appended += numbers.counts.appended;
  sum.counts.appended_elsewhere += numbers.counts.appended_elsewhere;
  sum.counts.delivered += numbers.counts.delivered;
  sum.counts.dead_lettered += numbers.counts.dead_lettered;
  sum.counts.coalesced += numbers.counts.coalesced;
  for (size_t i = 0; i < sum.counts.dead_lettered_for.size(); ++i) {
    sum.counts.dead_lettered_for[i] += numbers.counts.dead_lettered_for[i];
  }
}

void Add(const DestinationSnapshot& destination, const TypeNumbers& numbers,
         StatusTotals& totals) {
  ++totals.in_state[static_cast<size_t>(destination.state)];
  Add(numbers, totals.items);
  Add(destination.dead_letters, totals.dead_letters);
  if (destination.allowance_total == 0) return;
  if (totals.fullest == nullptr ||
      AllowancePart(destination) > AllowancePart(*totals.fullest)) {
    totals.fullest = &destination;
  }
}

bool Matches(const DestinationSnapshot& destination, const StatusQuery& query) {
  if (query.state.has_value() && destination.state != *query.state) {
    return false;
  }
  // The App ID is not searched beyond what everyone sees of it.
  return query.search.empty() ||
         absl::StrContains(absl::AsciiStrToLower(destination.name),
                           query.search) ||
         absl::StrContains(destination.masked_app_id, query.search) ||
         Name(destination.region) == query.search;
}

int UrgencyOf(DestinationState state) {
  switch (state) {
    case DestinationState::kActive:
      return 0;
    case DestinationState::kPaused:
      return 1;
    case DestinationState::kBackingOff:
      return 2;
    case DestinationState::kNeedsAttention:
      return 3;
  }
  return 0;
}

// Backlogs of the same magnitude are equal, so that rows keep their places
// while they grow and shrink.
double AttentionKey(const ListedDestination& destination) {
  const double magnitude = std::ceil(
      std::log2(static_cast<double>(destination.items.queued_items) + 1) / 3);
  return 100 * UrgencyOf(destination.status->snapshot.state) + magnitude;
}

// Larger ones come first.
double KeyOf(const ListedDestination& destination, StatusSort sort) {
  const FlowRates rates = destination.rates.value_or(FlowRates());
  const DestinationSnapshot& snapshot = destination.status->snapshot;
  switch (sort) {
    case StatusSort::kAttention:
      return AttentionKey(destination);
    case StatusSort::kName:
      return 0;
    case StatusSort::kAccepted:
      return rates.accepted;
    case StatusSort::kDelivered:
      return rates.delivered;
    case StatusSort::kBacklog:
      return static_cast<double>(destination.items.queued_items);
    case StatusSort::kAllowance:
      return AllowancePart(snapshot);
    case StatusSort::kDeadLetters:
      return static_cast<double>(snapshot.dead_letters.letters);
  }
  return 0;
}

bool ComesBefore(const Match& a, const Match& b, const StatusQuery& query) {
  const Match& first = query.reversed ? b : a;
  const Match& second = query.reversed ? a : b;
  if (query.sort == StatusSort::kName) {
    return first.listed.status->snapshot.name <
           second.listed.status->snapshot.name;
  }
  if (first.key != second.key) return first.key > second.key;
  return a.place < b.place;
}

}  // namespace

double AllowancePart(const DestinationSnapshot& destination) {
  if (destination.allowance_total == 0) return 0;
  return static_cast<double>(destination.allowance_used) /
         static_cast<double>(destination.allowance_total);
}

StatusList ListDestinations(const ServerStatus& status,
                            const FlowHistory& history,
                            const StatusQuery& query) {
  StatusList list;
  const MonotonicTime at = status.taken_at.value_or(status.now.monotonic);
  std::vector<Match> matches;
  std::vector<FlowCounts> counts;
  for (size_t i = 0; i < status.destinations.size(); ++i) {
    const DestinationStatus& destination = status.destinations[i];
    const TypeNumbers items = SumOf(destination);
    Add(destination.snapshot, items, list.totals);
    if (!Matches(destination.snapshot, query)) continue;
    matches.push_back({.listed = {.status = &destination,
                                  .items = items,
                                  .rates = std::nullopt},
                       .place = i});
    counts.push_back({.destination = destination.snapshot.name,
                      .accepted = items.counts.arrived(),
                      .delivered = items.counts.delivered});
  }
  list.totals.rates =
      history.TotalRates({.destination = "",
                          .accepted = list.totals.items.counts.arrived(),
                          .delivered = list.totals.items.counts.delivered},
                         at);
  const auto rates = history.RatesOf(counts, at);
  for (size_t i = 0; i < matches.size(); ++i) {
    matches[i].listed.rates = rates[i];
    matches[i].key = KeyOf(matches[i].listed, query.sort);
  }
  list.matching = matches.size();
  list.pages = std::max<size_t>(
      1, (matches.size() + query.per_page - 1) / query.per_page);
  list.page = std::min(query.page, list.pages);
  const size_t begin = (list.page - 1) * query.per_page;
  const size_t end = std::min(begin + query.per_page, matches.size());
  std::partial_sort(
      matches.begin(), matches.begin() + static_cast<ptrdiff_t>(end),
      matches.end(),
      [&](const Match& a, const Match& b) { return ComesBefore(a, b, query); });
  for (size_t i = begin; i < end; ++i) list.shown.push_back(matches[i].listed);
  return list;
}

}  // namespace heapsync
