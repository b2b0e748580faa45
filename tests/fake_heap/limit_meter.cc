#include "tests/fake_heap/limit_meter.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace heapsync::fake_heap {
namespace {

// The limit that an identity of this load counts against.
std::optional<LimitKind> IdentityLimit(const Load& load) {
  switch (load.type) {
    case ObjectType::kTrackEvent:
      return load.bulk ? LimitKind::kIdentityEvents
                       : LimitKind::kIdentityTrackRequests;
    case ObjectType::kUserProperties:
      return LimitKind::kIdentityUserRequests;
    case ObjectType::kAccountProperties:
      return std::nullopt;
  }
  return std::nullopt;
}

bool CountsForApp(const Load& load) {
  return load.type == ObjectType::kTrackEvent && load.bulk;
}

// Load per identity: its events, or one request however often it occurs in it.
absl::flat_hash_map<absl::string_view, uint32_t> WeightsOf(const Load& load) {
  absl::flat_hash_map<absl::string_view, uint32_t> weights;
  weights.reserve(load.identities.size());
  for (const absl::string_view identity : load.identities) {
    if (identity.empty()) continue;
    uint32_t& weight = weights[identity];
    weight = load.type == ObjectType::kTrackEvent ? weight + 1 : 1;
  }
  return weights;
}

bool Breaks(uint32_t used, const Limit& limit) {
  return limit.most > 0 && used > limit.most;
}

}  // namespace

absl::string_view Name(LimitKind kind) {
  switch (kind) {
    case LimitKind::kAppEvents:
      return "app_events";
    case LimitKind::kIdentityEvents:
      return "identity_events";
    case LimitKind::kIdentityUserRequests:
      return "identity_user_requests";
    case LimitKind::kIdentityTrackRequests:
      return "identity_track_requests";
  }
  std::abort();
}

const Limit& PublishedLimits::Of(LimitKind kind) const {
  switch (kind) {
    case LimitKind::kAppEvents:
      return app_events;
    case LimitKind::kIdentityEvents:
      return identity_events;
    case LimitKind::kIdentityUserRequests:
      return identity_user_requests;
    case LimitKind::kIdentityTrackRequests:
      return identity_track_requests;
  }
  std::abort();
}

std::optional<LimitKind> LimitMeter::WouldBreak(const Load& load,
                                                MonotonicTime now) {
  const auto found = apps_.find(load.app_id);
  AppWindows* const app = found == apps_.end() ? nullptr : &found->second;
  if (CountsForApp(load)) {
    const uint32_t used =
        app ? app->events.At(now, limits_.app_events.window) : 0;
    if (Breaks(used + static_cast<uint32_t>(load.items), limits_.app_events)) {
      return LimitKind::kAppEvents;
    }
  }
  const auto kind = IdentityLimit(load);
  if (!kind) return std::nullopt;
  const Limit& limit = limits_.Of(*kind);
  for (const auto& [identity, weight] : WeightsOf(load)) {
    uint32_t used = 0;
    if (app) {
      auto& sums = app->identities[static_cast<size_t>(*kind)].sums;
      const auto sum = sums.find(identity);
      if (sum != sums.end()) used = sum->second.At(now, limit.window);
    }
    if (Breaks(used + weight, limit)) return kind;
  }
  return std::nullopt;
}

void LimitMeter::Record(const Load& load, const Now& now) {
  auto found = apps_.find(load.app_id);
  if (found == apps_.end()) {
    found = apps_.try_emplace(std::string(load.app_id)).first;
  }
  AppWindows& app = found->second;
  if (CountsForApp(load)) {
    const uint32_t used =
        app.events.Add(static_cast<uint32_t>(load.items), now.monotonic,
                       limits_.app_events.window);
    Take(app, load.app_id, LimitKind::kAppEvents, "", used, now);
  }
  const auto kind = IdentityLimit(load);
  if (!kind) return;
  const Duration window = limits_.Of(*kind).window;
  IdentityWindows& identities = app.identities[static_cast<size_t>(*kind)];
  for (const auto& [identity, weight] : WeightsOf(load)) {
    const uint32_t used =
        identities.sums[identity].Add(weight, now.monotonic, window);
    Take(app, load.app_id, *kind, identity, used, now);
  }
  if (identities.sums.size() >= identities.sweep_at) {
    absl::erase_if(identities.sums, [&](auto& entry) {
      return entry.second.At(now.monotonic, window) == 0;
    });
    identities.sweep_at = std::max<size_t>(1024, 2 * identities.sums.size());
  }
}

void LimitMeter::Take(AppWindows& app, absl::string_view app_id, LimitKind kind,
                      absl::string_view identity, uint32_t used,
                      const Now& now) {
  HighestUse& highest = app.highest[static_cast<size_t>(kind)];
  if (used > highest.used) {
    highest = {used, now.wall, std::string(identity)};
  }
  if (!Breaks(used, limits_.Of(kind))) return;
  ++app.violating_requests;
  Violation& violation = app.violations[{kind, std::string(identity)}];
  if (violation.requests == 0) {
    violation.kind = kind;
    violation.app_id = std::string(app_id);
    violation.identity = std::string(identity);
    violation.first = now.wall;
  }
  ++violation.requests;
  violation.worst_use = std::max(violation.worst_use, used);
  violation.last = now.wall;
}

std::vector<Violation> LimitMeter::Violations() const {
  std::vector<Violation> all;
  for (const auto& [id, app] : apps_) {
    for (const auto& [key, violation] : app.violations) {
      all.push_back(violation);
    }
  }
  std::stable_sort(
      all.begin(), all.end(),
      [](const Violation& a, const Violation& b) { return a.first < b.first; });
  return all;
}

uint64_t LimitMeter::CountViolations(absl::string_view app_id) const {
  const auto found = apps_.find(app_id);
  return found == apps_.end() ? 0 : found->second.violating_requests;
}

uint64_t LimitMeter::CountViolations() const {
  uint64_t sum = 0;
  for (const auto& [id, app] : apps_) sum += app.violating_requests;
  return sum;
}

HighestUse LimitMeter::Highest(absl::string_view app_id, LimitKind kind) const {
  const auto found = apps_.find(app_id);
  if (found == apps_.end()) return {};
  return found->second.highest[static_cast<size_t>(kind)];
}

void LimitMeter::Clear() { apps_.clear(); }

}  // namespace heapsync::fake_heap
