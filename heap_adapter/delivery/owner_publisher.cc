#include "heap_adapter/delivery/owner_publisher.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "heap_adapter/delivery/published_snapshot.h"

namespace heapsync {
namespace {

// Snapshots that are looked at for one change.
constexpr size_t kDestinationsAtOnce = 250;

}  // namespace

SpoolChange OwnerPublisher::Next(const std::vector<Destination>& destinations,
                                 const Dispatcher& dispatcher, Now now) {
  SpoolChange change;
  PutFigures(destinations, dispatcher, change);
  PutSnapshots(dispatcher, now, change);
  return change;
}

void OwnerPublisher::PutFigures(const std::vector<Destination>& destinations,
                                const Dispatcher& dispatcher,
                                SpoolChange& change) {
  absl::flat_hash_map<std::string, OwnerFigures> figures;
  for (const Destination& destination : destinations) {
    const auto backlog = dispatcher.BacklogOf(destination.name);
    if (backlog == nullptr) continue;
    OwnerFigures& to = figures[destination.name];
    to.queued_bytes = backlog->bytes();
    if (const auto drained_in = backlog->drained_in()) {
      to.drained_in = static_cast<uint64_t>(
          std::chrono::ceil<std::chrono::seconds>(*drained_in).count());
    }
  }
  for (const auto& [lane, totals] : dead_letters_.Lanes()) {
    const std::optional<LaneKey> key = directory_.KeyOf(lane);
    if (!key.has_value()) continue;
    figures[key->destination].dead_letters.push_back(
        {.lane = lane, .letters = totals.letters, .bytes = totals.bytes});
  }
  for (auto& [destination, now_is] : figures) {
    std::sort(now_is.dead_letters.begin(), now_is.dead_letters.end(),
              [](const auto& a, const auto& b) { return a.lane < b.lane; });
    OwnerFigures& before = figures_[destination];
    if (before == now_is) continue;
    change.PutFigures(destination, now_is);
    before = std::move(now_is);
  }
}

void OwnerPublisher::PutSnapshots(const Dispatcher& dispatcher, Now now,
                                  SpoolChange& change) {
  const auto snapshots = dispatcher.Snapshot(next_, kDestinationsAtOnce, now);
  next_ += snapshots.size();
  if (snapshots.size() < kDestinationsAtOnce) next_ = 0;
  for (DestinationSnapshot snapshot : snapshots) {
    complete_(snapshot);
    std::string encoded = EncodeSnapshot(snapshot);
    std::string& before = snapshots_[snapshot.name];
    if (before == encoded) continue;
    before = encoded;
    change.PutSnapshot(snapshot.name, std::move(encoded));
  }
}

}  // namespace heapsync
