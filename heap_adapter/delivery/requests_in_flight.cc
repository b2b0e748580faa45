#include "heap_adapter/delivery/requests_in_flight.h"

#include <utility>

#include "base/check.h"

namespace heapsync {

void RequestsInFlight::Add(Attempt attempt) {
  LookAgain(attempt.started.monotonic + HangsAfter(attempt));
  const AttemptId id = attempt.id;
  attempts_.emplace(id, std::move(attempt));
}

Attempt RequestsInFlight::Take(AttemptId id, MonotonicTime now) {
  const auto it = attempts_.find(id);
  HEAPSYNC_CHECK(it != attempts_.end()) << "no request " << id << " in flight";
  Attempt attempt = std::move(it->second);
  attempts_.erase(it);
  if (attempt.role == RequestRole::kHanging) --hanging_;
  Of(attempt.endpoint()).last_response = now;
  return attempt;
}

void RequestsInFlight::GotThrough(const Attempt& attempt, MonotonicTime now) {
  OfEndpoint& endpoint = Of(attempt.endpoint());
  endpoint.last_reached = now;
  endpoint.latency = now - attempt.started.monotonic;
  if (hanging_ > 0) LookAgain(now);
}

void RequestsInFlight::SetHanging(Attempt& attempt) {
  attempt.role = RequestRole::kHanging;
  ++hanging_;
}

bool RequestsInFlight::Fails(const Attempt& attempt) const {
  return attempt.lane->failures > 0 || attempt.lane->suspected_failures > 0 ||
         slots_.silent(attempt.endpoint());
}

Duration RequestsInFlight::HangsAfter(const Attempt& attempt) const {
  if (Fails(attempt)) return rules_.hangs_after;
  // The slots that its destination has may all be needed for probes.
  if (slots_.stalls(attempt.region)) return rules_.hanging_probe_interval;
  // While others are answered, it is slow.
  return std::max<Duration>(
      rules_.stalls_after, Of(attempt.endpoint()).last_response -
                               attempt.started.monotonic + rules_.stalls_after);
}

// Only events are given up: an update that Heap takes late would undo a newer
// one.
std::optional<MonotonicTime> RequestsInFlight::GivesUpAt(
    const Attempt& attempt) const {
  const OfEndpoint& endpoint = Of(attempt.endpoint());
  // A batch that hangs again, while others get through, may be the cause.
  const bool of_outage =
      attempt.silence.has_value() || attempt.batch.tries == 1;
  if (attempt.given_up || !of_outage ||
      PolicyOf(attempt.lane->type()).coalesces ||
      attempt.batch.standing == Standing::kIsolated ||
      endpoint.last_reached <= attempt.started.monotonic) {
    return std::nullopt;
  }
  return attempt.started.monotonic + rules_.hanging_probe_interval +
         2 * endpoint.latency;
}

RequestsInFlight::Overdue RequestsInFlight::FindOverdue(MonotonicTime now) {
  Overdue overdue;
  if (now < next_overdue_) return overdue;
  next_overdue_ = MonotonicTime::max();
  for (auto& [id, attempt] : attempts_) {
    if (attempt.role == RequestRole::kHanging) {
      if (!attempt.silence.has_value()) {
        attempt.silence = slots_.SilenceOf(attempt.endpoint());
      }
      const auto at = GivesUpAt(attempt);
      if (at.has_value() && *at <= now) {
        attempt.given_up = true;
        overdue.given_up.push_back(id);
      } else if (at.has_value()) {
        next_overdue_ = std::min(next_overdue_, *at);
      }
      continue;
    }
    const MonotonicTime hangs_at =
        attempt.started.monotonic + HangsAfter(attempt);
    if (hangs_at <= now) {
      overdue.hanging.push_back(&attempt);
    } else {
      next_overdue_ = std::min(next_overdue_, hangs_at);
    }
  }
  // The map has no order.
  std::sort(overdue.given_up.begin(), overdue.given_up.end());
  std::sort(overdue.hanging.begin(), overdue.hanging.end(),
            [](const Attempt* a, const Attempt* b) { return a->id < b->id; });
  return overdue;
}

uint64_t RequestsInFlight::ItemsOf(const QueuedLane& lane) const {
  uint64_t items = 0;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.lane == &lane) items += attempt.batch.items.size();
  }
  return items;
}

std::optional<AttemptId> RequestsInFlight::GiveUpOldest(const QueuedLane& lane,
                                                        MonotonicTime now) {
  Attempt* oldest = nullptr;
  uint64_t items = 0;
  for (auto& [id, attempt] : attempts_) {
    if (attempt.lane != &lane) continue;
    if (attempt.given_up) return std::nullopt;
    items += attempt.batch.items.size();
    const Duration patience =
        std::max(rules_.stalls_after, 2 * Of(attempt.endpoint()).latency);
    if (attempt.role != RequestRole::kHanging || attempt.batch.tries > 1 ||
        attempt.batch.standing != Standing::kTrusted ||
        now - attempt.started.monotonic < patience) {
      continue;
    }
    if (oldest == nullptr || id < oldest->id) oldest = &attempt;
  }
  if (oldest == nullptr || items == 1) return std::nullopt;
  oldest->given_up = true;
  return oldest->id;
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
