#include "server/observe/status_json.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "heap_adapter/engines.h"
#include "nlohmann/json.hpp"
#include "server/observe/status_list.h"

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

void Put(const TypeNumbers& numbers, WallTime now, Json& to) {
  to["queued_items"] = numbers.queued_items;
  to["queued_bytes"] = numbers.queued_bytes;
  to["deferred_items"] = numbers.deferred_items;
  to["isolated_items"] = numbers.isolated_items;
  to["oldest_age_seconds"] = Seconds(AgeOf(numbers.oldest_waiting, now));
  to["delivered_per_second"] = numbers.delivered_per_second;
  to["accepted"] = numbers.counts.arrived();
  to["delivered"] = numbers.counts.delivered;
  to["dead_lettered"] = numbers.counts.dead_lettered;
  to["coalesced"] = numbers.counts.coalesced;
}

Json Rate(const std::optional<FlowRates>& rates, double FlowRates::*rate) {
  if (!rates.has_value()) return nullptr;
  // More digits would only lengthen the page's refreshes.
  return std::round((*rates).*rate * 100) / 100;
}

// Kept dead letters, and by reason those that are there and those that were
// given up since the start.
Json ToJson(const DeadLetterTotals& letters, const LaneCounts& counts,
            bool by_reason) {
  Json json = {{"kept", letters.letters}, {"bytes", letters.bytes}};
  if (!by_reason) return json;
  Json& reasons = json["by_reason"] = Json::object();
  for (size_t i = 1; i <= kDeadLetterReasons; ++i) {
    reasons[absl::AsciiStrToLower(Name(static_cast<DeadLetterReason>(i)))] = {
        {"kept", letters.by_reason[i]},
        {"since_start", counts.dead_lettered_for[i]}};
  }
  return json;
}

template <typename Value>
Json PointsOf(const FlowChart& chart, const Value& value) {
  Json values = Json::array();
  for (const std::optional<FlowPoint>& point : chart.points) {
    values.push_back(point.has_value() ? Json(value(*point)) : Json(nullptr));
  }
  return values;
}

Json ToJson(const FlowChart& chart) {
  return {
      {"accepted",
       PointsOf(chart,
                [](const FlowPoint& point) -> Json { return point.accepted; })},
      {"delivered", PointsOf(chart,
                             [](const FlowPoint& point) -> Json {
                               return point.delivered;
                             })},
      {"queued_items", PointsOf(chart,
                                [](const FlowPoint& point) -> Json {
                                  return point.queued_items;
                                })},
      {"allowance_percent", PointsOf(chart, [](const FlowPoint& point) -> Json {
         if (!point.allowance_percent.has_value()) return nullptr;
         return *point.allowance_percent;
       })}};
}

Json TypesOf(const DestinationStatus& destination, WallTime now) {
  Json types = Json::array();
  for (const ObjectType object_type : kObjectTypes) {
    TypeNumbers numbers;
    for (size_t i = 0; i < destination.snapshot.lanes.size(); ++i) {
      const LaneSnapshot& lane = destination.snapshot.lanes[i];
      if (lane.type != object_type) continue;
      numbers.Add(lane, destination.oldest_waiting[i]);
    }
    Json& type = types.emplace_back();
    type["type"] = std::string(Name(object_type));
    Put(numbers, now, type);
  }
  return types;
}

Json ToJson(const ListedDestination& listed, WallTime now, bool detailed) {
  const DestinationSnapshot& snapshot = listed.status->snapshot;
  Json json;
  json["name"] = snapshot.name;
  json["delivered_here"] = snapshot.delivers;
  json["region"] = std::string(Name(snapshot.region));
  json["masked_app_id"] = snapshot.masked_app_id;
  json["state"] = std::string(Name(snapshot.state));
  json["why"] = WhyOf(snapshot);
  json["delivered_by"] = snapshot.delivered_by;
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
  json["in_per_second"] = Rate(listed.rates, &FlowRates::accepted);
  json["out_per_second"] = Rate(listed.rates, &FlowRates::delivered);
  Put(listed.items, now, json);
  json["dead_letters"] =
      ToJson(snapshot.dead_letters, listed.items.counts, detailed);
  if (detailed) json["types"] = TypesOf(*listed.status, now);
  return json;
}

Json ToJson(const StatusTotals& totals) {
  Json json;
  Json& states = json["states"];
  for (const DestinationState state : kDestinationStates) {
    states[std::string(Name(state))] =
        totals.in_state[static_cast<size_t>(state)];
  }
  json["in_per_second"] = Rate(totals.rates, &FlowRates::accepted);
  json["out_per_second"] = Rate(totals.rates, &FlowRates::delivered);
  json["accepted"] = totals.items.counts.arrived();
  json["delivered"] = totals.items.counts.delivered;
  json["dead_lettered"] = totals.items.counts.dead_lettered;
  json["coalesced"] = totals.items.counts.coalesced;
  json["queued_items"] = totals.items.queued_items;
  json["queued_bytes"] = totals.items.queued_bytes;
  json["fullest_allowance"] = nullptr;
  if (totals.fullest != nullptr) {
    json["fullest_allowance"] = {{"destination", totals.fullest->name},
                                 {"used", totals.fullest->allowance_used},
                                 {"limit", totals.fullest->allowance_total}};
  }
  json["dead_letters"] = ToJson(totals.dead_letters, totals.items.counts, true);
  return json;
}

// Puts the charts of all destinations and of those that are shown.
void PutHistory(const FlowHistory& history, FlowHistory::Range range,
                const StatusList& list, MonotonicTime now, Json& json) {
  std::vector<absl::string_view> names;
  names.reserve(list.shown.size());
  for (const ListedDestination& each : list.shown) {
    names.push_back(each.status->snapshot.name);
  }
  const FlowCharts charts = history.Charts(range, names);
  Json total = ToJson(charts.total);
  total["step_seconds"] = Seconds(charts.step);
  total["ended_seconds_ago"] = Seconds(now - charts.end);
  json["history"] = std::move(total);
  for (size_t i = 0; i < list.shown.size(); ++i) {
    if (charts.destinations[i].points.empty()) continue;
    json["destinations"][i]["history"] = ToJson(charts.destinations[i]);
  }
}

Json ToJson(const ClusterView& cluster) {
  Json json;
  json["shards"] = cluster.owners.size();
  json["shards_without_owner"] =
      std::count(cluster.owners.begin(), cluster.owners.end(), "");
  Json& servers = json["servers"] = Json::array();
  for (const ClusterView::Member& member : cluster.members) {
    servers.push_back({{"name", member.name},
                       {"shards", member.shards},
                       {"self", member.self}});
  }
  Json& databases = json["databases"] = Json::array();
  for (const ClusterView::Database& database : cluster.databases) {
    databases.push_back({{"where", database.where},
                         {"usable", database.usable},
                         {"trouble", database.trouble}});
  }
  return json;
}

}  // namespace

std::string StatusJson(const ServerStatus& status, const FlowHistory& history,
                       absl::string_view version, const StatusQuery& query,
                       const ClusterStatus* cluster) {
  const StatusList list = ListDestinations(status, history, query);
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
  json["delivers"] = cluster == nullptr || cluster->not_delivering.empty();
  json["not_delivering"] = cluster == nullptr ? "" : cluster->not_delivering;
  json["cluster"] = nullptr;
  if (cluster != nullptr) json["cluster"] = ToJson(cluster->seen);
  json["destinations_total"] = status.destinations.size();
  json["totals"] = ToJson(list.totals);
  json["matching"] = list.matching;
  json["page"] = list.page;
  json["pages"] = list.pages;
  Json& destinations = json["destinations"] = Json::array();
  for (const ListedDestination& each : list.shown) {
    const bool open = std::find(query.open.begin(), query.open.end(),
                                each.status->snapshot.name) != query.open.end();
    destinations.push_back(
        ToJson(each, status.now.wall, query.detailed || open));
  }
  if (query.history.has_value()) {
    PutHistory(history, *query.history, list, status.now.monotonic, json);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace heapsync
