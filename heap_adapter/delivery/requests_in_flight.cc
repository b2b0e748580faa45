#include "heap_adapter/delivery/requests_in_flight.h"

#include <utility>

#include "base/check.h"

namespace heapsync {

void RequestsInFlight::Add(Attempt attempt) {
  if (Fails(attempt)) LookAgain(attempt.started.monotonic + hangs_after_);
  const AttemptId id = attempt.id;
  attempts_.emplace(id, std::move(attempt));
}

Attempt RequestsInFlight::Take(AttemptId id) {
  const auto it = attempts_.find(id);
  HEAPSYNC_CHECK(it != attempts_.end()) << "no request " << id << " in flight";
  Attempt attempt = std::move(it->second);
  attempts_.erase(it);
  return attempt;
}

bool RequestsInFlight::Fails(const Attempt& attempt) const {
  return attempt.lane->failures > 0 || attempt.lane->suspected_failures > 0 ||
         slots_.silent(attempt.endpoint());
}

std::vector<Attempt*> RequestsInFlight::FindHanging(MonotonicTime now) {
  if (now < next_hanging_) return {};
  next_hanging_ = MonotonicTime::max();
  std::vector<Attempt*> hanging;
  for (auto& [id, attempt] : attempts_) {
    if (!Fails(attempt)) continue;
    if (attempt.role == RequestRole::kHanging) {
      if (!attempt.silence.has_value()) {
        attempt.silence = slots_.SilenceOf(attempt.endpoint());
      }
      continue;
    }
    const MonotonicTime hangs_at = attempt.started.monotonic + hangs_after_;
    if (hangs_at <= now) {
      hanging.push_back(&attempt);
    } else {
      next_hanging_ = std::min(next_hanging_, hangs_at);
    }
  }
  // The map has no order.
  std::sort(hanging.begin(), hanging.end(),
            [](const Attempt* a, const Attempt* b) { return a->id < b->id; });
  return hanging;
}

std::vector<InFlightAttempt> RequestsInFlight::OfLane(LaneId lane) const {
  std::vector<InFlightAttempt> attempts;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.lane->id() != lane) continue;
    attempts.push_back(
        {.id = id,
         .batch_id = attempt.batch.id,
         .started_at = attempt.started.wall,
         .items = static_cast<uint32_t>(attempt.batch.items.size()),
         .seqs = attempt.batch.Seqs()});
  }
  std::sort(attempts.begin(), attempts.end(),
            [](const InFlightAttempt& a, const InFlightAttempt& b) {
              return a.id < b.id;
            });
  return attempts;
}

}  // namespace heapsync
