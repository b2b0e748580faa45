#include "heap_adapter/inspection/delivery_lookup.h"

#include <utility>

#include "absl/status/status.h"

namespace heapsync {
namespace {

// Coalesced and replayed items that are followed from one item to the next.
constexpr int kMaxSteps = 100;

class Lookup {
 public:
  Lookup(const Spool& spool, LaneId lane, LaneProgress progress,
         const std::vector<InFlightAttempt>& in_flight)
      : spool_(spool),
        lane_(lane),
        progress_(std::move(progress)),
        in_flight_(in_flight) {}

  // `attempts` are those that carried it, and others.
  absl::StatusOr<ItemDelivery> Find(
      Seq seq, const AttemptTables::Attempts& attempts) const {
    absl::StatusOr<ItemDelivery> item = Follow(seq);
    if (!item.ok()) return item;
    std::vector<const AttemptRecord*> own;
    for (const auto& [id, record] : attempts) {
      if (record.seqs.Contains(seq)) own.push_back(&record);
    }
    if (item->state == ItemState::kDelivered && !own.empty()) {
      for (const auto& [coalesced, into] : own.back()->coalesced) {
        if (coalesced != seq) continue;
        item->state = ItemState::kCoalesced;
        item->into = into;
        item->into_state = ItemState::kDelivered;
      }
    }
    // One that was coalesced while it was deferred has only its carrier's.
    AttemptTables::Attempts of_carrier;
    if (own.empty() && item->state == ItemState::kCoalesced) {
      auto found = spool_.attempts().FindAttempts(lane_, *item->into);
      if (!found.ok()) return found.status();
      of_carrier = *std::move(found);
      for (const auto& [id, record] : of_carrier) own.push_back(&record);
    }
    AddAttempts(own, *item);
    return item;
  }

 private:
  // The item's own state and where it went.
  absl::StatusOr<ItemDelivery> Look(Seq seq) const {
    ItemDelivery item{.seq = seq,
                      .into = std::nullopt,
                      .reason = std::nullopt,
                      .attempts = {}};
    if (!progress_.IsSettled(seq)) {
      if (IsInFlight(seq)) item.state = ItemState::kInFlight;
      return item;
    }
    // In the order in which an item goes through these, so that none can slip
    // from a table not yet read to one that was.
    auto deferred = spool_.deferred().FindDeferred(lane_, seq);
    if (!deferred.ok()) return deferred.status();
    if (deferred->has_value()) {
      item.state = ItemState::kDeferred;
      const auto isolated = spool_.deferred().FindIsolated(lane_, seq);
      if (!isolated.ok()) return isolated.status();
      if (isolated->has_value()) item.state = ItemState::kIsolated;
      if (IsInFlight(seq)) item.state = ItemState::kInFlight;
      return item;
    }
    auto letter = spool_.FindDeadLetter(lane_, seq);
    if (!letter.ok()) return letter.status();
    if (letter->has_value()) {
      item.state = ItemState::kDeadLettered;
      item.reason = (*letter)->reason;
      return item;
    }
    auto forwarding = spool_.FindForwarding(lane_, seq);
    if (!forwarding.ok()) return forwarding.status();
    if (!forwarding->has_value()) {
      item.state = ItemState::kDelivered;
      return item;
    }
    switch ((*forwarding)->kind) {
      case Forwarding::Kind::kCoalesced:
        item.state = ItemState::kCoalesced;
        item.into = (*forwarding)->into;
        break;
      case Forwarding::Kind::kReplayed:
        item.state = ItemState::kReplayed;
        item.into = (*forwarding)->into;
        break;
      case Forwarding::Kind::kDiscarded:
        item.state = ItemState::kDiscarded;
        break;
    }
    return item;
  }

  absl::StatusOr<ItemDelivery> Follow(Seq seq) const {
    absl::StatusOr<ItemDelivery> item = Look(seq);
    if (!item.ok() || !item->into.has_value()) return item;
    Seq next = *item->into;
    for (int step = 0; step < kMaxSteps; ++step) {
      absl::StatusOr<ItemDelivery> then = Look(next);
      if (!then.ok()) return then;
      item->into_state = then->state;
      if (!then->into.has_value()) break;
      next = *then->into;
    }
    return item;
  }

  bool IsInFlight(Seq seq) const {
    for (const InFlightAttempt& attempt : in_flight_) {
      if (attempt.seqs.Contains(seq)) return true;
    }
    return false;
  }

  void AddAttempts(const std::vector<const AttemptRecord*>& ended,
                   ItemDelivery& item) const {
    const size_t skip =
        ended.size() > kMaxItemAttempts ? ended.size() - kMaxItemAttempts : 0;
    for (size_t i = skip; i < ended.size(); ++i) {
      const AttemptRecord& record = *ended[i];
      item.attempts.push_back({.batch_id = record.batch_id,
                               .started_at = record.started_at,
                               .ended_at = record.ended_at,
                               .response_class = record.response_class,
                               .http_status = record.http_status,
                               .summary = record.summary,
                               .items = record.items});
    }
    if (item.state != ItemState::kInFlight) return;
    for (const InFlightAttempt& attempt : in_flight_) {
      if (!attempt.seqs.Contains(item.seq)) continue;
      item.attempts.push_back({.batch_id = attempt.batch_id,
                               .started_at = attempt.started_at,
                               .ended_at = std::nullopt,
                               .response_class = std::nullopt,
                               .summary = {},
                               .items = attempt.items});
    }
  }

  const Spool& spool_;
  const LaneId lane_;
  const LaneProgress progress_;
  const std::vector<InFlightAttempt>& in_flight_;
};

}  // namespace

absl::StatusOr<std::vector<ItemDelivery>> LookUpDeliveries(
    const Spool& spool, LaneId lane, const std::vector<SeqRange>& items,
    const std::vector<InFlightAttempt>& in_flight) {
  absl::StatusOr<Spool::LaneExtent> extent = spool.ReadExtent(lane);
  if (!extent.ok()) return extent.status();
  for (const SeqRange& range : items) {
    if (range.end > extent->head) {
      return absl::NotFoundError("the receipt names items never accepted");
    }
  }
  const Lookup lookup(spool, lane, std::move(extent->progress), in_flight);
  std::vector<ItemDelivery> deliveries;
  for (const SeqRange& range : items) {
    if (range.empty()) continue;
    const auto attempts =
        spool.attempts().FindAttempts(lane, range.begin, range.end - 1);
    if (!attempts.ok()) return attempts.status();
    for (Seq seq = range.begin; seq < range.end; ++seq) {
      absl::StatusOr<ItemDelivery> item = lookup.Find(seq, *attempts);
      if (!item.ok()) return item.status();
      deliveries.push_back(*std::move(item));
    }
  }
  return deliveries;
}

}  // namespace heapsync
