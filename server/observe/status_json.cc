#include "server/observe/status_json.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "heap_adapter/model/object_type.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using Json = nlohmann::ordered_json;

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Json Seconds(std::optional<Duration> duration) {
  if (!duration.has_value()) return nullptr;
  return Seconds(*duration);
}

std::string TimeText(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

std::optional<Duration> AgeOf(std::optional<WallTime> time, WallTime now) {
  if (!time.has_value()) return std::nullopt;
  return std::max(now - *time, Duration::zero());
}

bool HasIsolatedItems(const DestinationSnapshot& destination) {
  return std::any_of(
      destination.lanes.begin(), destination.lanes.end(),
      [](const LaneSnapshot& lane) { return lane.isolated_items > 0; });
}

// "events and users".
std::string RefusedTypes(const DestinationSnapshot& destination) {
  std::vector<absl::string_view> names;
  for (const ObjectType type : destination.refused_types) {
    names.push_back(HeapArrayKey(type));
  }
  return absl::StrJoin(names, " and ");
}

std::string WhyOf(const DestinationSnapshot& destination) {
  switch (destination.state) {
    case DestinationState::kActive:
      if (destination.limit_holds_events) {
        return "Heap's limit is used up; the backlog is sent as it frees.";
      }
      if (HasIsolatedItems(destination)) {
        return "Heap fails at single items, which wait alone; everything else "
               "is delivered.";
      }
      return "";
    case DestinationState::kBackingOff:
      return "Heap, or the network path to it, is failing. One request at a "
             "time is retried; everything is kept.";
    case DestinationState::kNeedsAttention:
      if (destination.last_error_origin == ErrorOrigin::kWay) {
        return "Requests do not reach Heap: something on the way there refuses "
               "or answers them, as the last error says. Check the proxy, the "
               "certificates and the network; everything is kept.";
      }
      return absl::StrCat("Heap rejects every request with ",
                          RefusedTypes(destination),
                          ". Check the App ID, the region and Heap's settings; "
                          "everything is kept.");
    case DestinationState::kPaused:
      return "Paused by an operator. Use ResumeDestination to continue; "
             "everything is kept.";
  }
  return "";
}

// Need for an operator's attention: first by state, then by backlog.
std::pair<int, uint64_t> Urgency(const DestinationSnapshot& destination) {
  int by_state = 0;
  switch (destination.state) {
    case DestinationState::kActive:
      break;
    case DestinationState::kPaused:
      by_state = 1;
      break;
    case DestinationState::kBackingOff:
      by_state = 2;
      break;
    case DestinationState::kNeedsAttention:
      by_state = 3;
      break;
  }
  uint64_t queued = 0;
  for (const LaneSnapshot& lane : destination.lanes) {
    queued += lane.queued_items;
  }
  return {by_state, queued};
}

std::vector<size_t> Shown(const ServerStatus& status, size_t most) {
  std::vector<size_t> shown(status.destinations.size());
  std::iota(shown.begin(), shown.end(), size_t{0});
  if (shown.size() <= most) return shown;
  std::vector<std::pair<int, uint64_t>> urgency;
  urgency.reserve(shown.size());
  for (const DestinationStatus& destination : status.destinations) {
    urgency.push_back(Urgency(destination.snapshot));
  }
  std::stable_sort(shown.begin(), shown.end(),
                   [&](size_t a, size_t b) { return urgency[a] > urgency[b]; });
  shown.resize(most);
  std::sort(shown.begin(), shown.end());
  return shown;
}

void Put(const TypeNumbers& numbers, WallTime now, Json& to) {
  to["queued_items"] = numbers.queued_items;
  to["queued_bytes"] = numbers.queued_bytes;
  to["deferred_items"] = numbers.deferred_items;
  to["isolated_items"] = numbers.isolated_items;
  to["oldest_age_seconds"] = Seconds(AgeOf(numbers.oldest_waiting, now));
  to["delivered_per_second"] = numbers.delivered_per_second;
  to["accepted"] = numbers.counts.appended;
  to["delivered"] = numbers.counts.delivered;
  to["dead_lettered"] = numbers.counts.dead_lettered;
  to["coalesced"] = numbers.counts.coalesced;
}

Json ToJson(const DestinationStatus& destination, WallTime now) {
  const DestinationSnapshot& snapshot = destination.snapshot;
  Json json;
  json["name"] = snapshot.name;
  json["region"] = std::string(Name(snapshot.region));
  json["masked_app_id"] = snapshot.masked_app_id;
  json["state"] = std::string(Name(snapshot.state));
  json["why"] = WhyOf(snapshot);
  json["last_error"] = snapshot.last_error;
  json["last_error_at"] = nullptr;
  if (snapshot.last_error_at.has_value()) {
    json["last_error_at"] = TimeText(*snapshot.last_error_at);
  }
  json["last_error_age_seconds"] = Seconds(AgeOf(snapshot.last_error_at, now));
  json["in_flight_requests"] = snapshot.in_flight_requests;
  json["in_flight_requests_limit"] = snapshot.concurrency_limit;
  json["allowance_used"] = snapshot.allowance_used;
  json["allowance_limit"] = nullptr;
  if (snapshot.allowance_total > 0) {
    json["allowance_limit"] = snapshot.allowance_total;
  }
  json["limit_holds_events"] = snapshot.limit_holds_events;
  json["drained_in_seconds"] = Seconds(snapshot.drained_in);
  TypeNumbers all;
  Json types = Json::array();
  for (const ObjectType object_type : kObjectTypes) {
    TypeNumbers numbers;
    for (size_t i = 0; i < snapshot.lanes.size(); ++i) {
      const LaneSnapshot& lane = snapshot.lanes[i];
      if (lane.type != object_type) continue;
      numbers.Add(lane, destination.oldest_waiting[i]);
      all.Add(lane, destination.oldest_waiting[i]);
    }
    Json& type = types.emplace_back();
    type["type"] = std::string(Name(object_type));
    Put(numbers, now, type);
  }
  Put(all, now, json);
  json["types"] = std::move(types);
  return json;
}

}  // namespace

std::string StatusJson(const ServerStatus& status, absl::string_view version,
                       size_t most) {
  Json json;
  json["version"] = std::string(version);
  json["now"] = TimeText(status.now.wall);
  json["uptime_seconds"] = Seconds(status.uptime);
  json["snapshot_age_seconds"] = nullptr;
  if (status.taken_at.has_value()) {
    json["snapshot_age_seconds"] =
        Seconds(status.now.monotonic - *status.taken_at);
  }
  json["spool"] = {{"healthy", status.spool.healthy},
                   {"disk_nearly_full", status.spool.disk_nearly_full},
                   {"commits", status.spool.commits},
                   {"syncs", status.spool.syncs}};
  json["destinations_total"] = status.destinations.size();
  Json& destinations = json["destinations"] = Json::array();
  for (const size_t index : Shown(status, most)) {
    destinations.push_back(ToJson(status.destinations[index], status.now.wall));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace heapsync
