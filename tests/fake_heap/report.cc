#include "tests/fake_heap/report.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace heapsync::fake_heap {
namespace {

using nlohmann::json;

constexpr Region kRegions[] = {Region::kUs, Region::kEu};
constexpr LimitKind kKinds[] = {
    LimitKind::kAppEvents, LimitKind::kIdentityEvents,
    LimitKind::kIdentityUserRequests, LimitKind::kIdentityTrackRequests};

std::string Text(absl::string_view text) { return std::string(text); }

std::string Text(WallTime time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

json LimitJson(const Limit& limit) {
  return {{"limit", limit.most}, {"window_seconds", Seconds(limit.window)}};
}

json ItemsJson(const AppStore& app, Region region) {
  json items = json::object();
  for (const ObjectType type : kObjectTypes) {
    items[Text(HeapArrayKey(type))] = app.items(type, region);
  }
  return items;
}

json HighestJson(const LimitMeter& meter, const std::string& app_id) {
  json highest = json::object();
  for (const LimitKind kind : kKinds) {
    const HighestUse use = meter.Highest(app_id, kind);
    json entry = LimitJson(meter.limits().Of(kind));
    entry["used"] = use.used;
    if (use.used > 0) {
      entry["time"] = Text(use.time);
      if (!use.identity.empty()) entry["identity"] = use.identity;
    }
    highest[Text(Name(kind))] = std::move(entry);
  }
  return highest;
}

json ProfilesJson(const AppStore& app, ObjectType type) {
  return {{"identities", app.profiles(type)},
          {"writes", app.profile_writes(type)}};
}

json AppJson(const HeapSimulator& simulator, const std::string& app_id,
             const HeapSimulator::AppTally& tally) {
  static const AppStore* const nothing = new AppStore();
  const AppStore* app = simulator.state().Find(app_id);
  if (app == nullptr) app = nothing;
  json regions = json::object();
  for (size_t i = 0; i < 2; ++i) {
    if (tally.outcomes[i].empty()) continue;
    regions[Text(Name(kRegions[i]))] = {
        {"requests", tally.outcomes[i]},
        {"items", ItemsJson(*app, kRegions[i])}};
  }
  return {{"regions", std::move(regions)},
          {"events",
           {{"appended", app->events()},
            {"unique_keys", app->unique_keys()},
            {"duplicate_keys", app->duplicates()},
            {"without_key", app->events() - app->unique_keys()},
            {"identities", app->event_identities()}}},
          {"users", ProfilesJson(*app, ObjectType::kUserProperties)},
          {"accounts", ProfilesJson(*app, ObjectType::kAccountProperties)},
          {"highest_use", HighestJson(simulator.meter(), app_id)},
          {"violations", simulator.meter().CountViolations(app_id)}};
}

json RegionJson(const HeapSimulator::RegionTally& tally) {
  return {{"requests", tally.requests},
          {"body_bytes", tally.body_bytes},
          {"connections",
           {{"accepted", tally.connections.accepted},
            {"open", tally.connections.open}}}};
}

json TotalJson(const HeapSimulator& simulator) {
  uint64_t requests = 0;
  for (const Region region : kRegions) {
    requests += simulator.tally(region).requests;
  }
  uint64_t items = 0, appended = 0, unique_keys = 0, duplicates = 0;
  for (const std::string& id : simulator.state().AppIds()) {
    const AppStore& app = *simulator.state().Find(id);
    appended += app.events();
    unique_keys += app.unique_keys();
    duplicates += app.duplicates();
    for (const ObjectType type : kObjectTypes) {
      for (const Region region : kRegions) items += app.items(type, region);
    }
  }
  return {{"requests", requests},
          {"items", items},
          {"events_appended", appended},
          {"unique_keys", unique_keys},
          {"duplicate_keys", duplicates},
          {"violations", simulator.meter().CountViolations()},
          {"event_bytes", simulator.state().event_bytes()},
          {"event_texts_dropped", simulator.state().dropped_texts()}};
}

}  // namespace

json ToJson(const Event& event) {
  json value = {{"identity", Text(event.identity)},
                {"region", Text(Name(event.region))},
                {"request", event.request},
                {"arrival", Text(event.time)}};
  if (!event.key.empty()) value["key"] = Text(event.key);
  if (!event.text.empty()) {
    value["event"] = json::parse(event.text.begin(), event.text.end(), nullptr,
                                 /*allow_exceptions=*/false);
  }
  return value;
}

json ToJson(const Profile& profile, absl::string_view id_name) {
  json properties = json::object();
  for (const auto& [key, value] : profile.properties) {
    properties[key] = json::parse(value);
  }
  return {{Text(id_name), Text(profile.identity)},
          {"properties", std::move(properties)},
          {"writes", profile.writes},
          {"first_request", profile.first_request},
          {"last_request", profile.last_request}};
}

json ToJson(const RequestRecord& record) {
  json headers = json::object();
  for (const auto& [name, text] : record.headers) headers[name] = text;
  json value = {{"number", record.number},
                {"arrival", Text(record.arrival)},
                {"region", Text(Name(record.region))},
                {"connection", record.connection},
                {"method", record.method},
                {"path", record.path},
                {"app_id", record.app_id},
                {"items", record.items},
                {"outcome", record.outcome},
                {"body_bytes", record.body_bytes},
                {"headers", std::move(headers)}};
  if (!record.rule.empty()) value["rule"] = record.rule;
  if (!record.body.empty()) value["body"] = record.body;
  return value;
}

json ToJson(const Violation& violation, const PublishedLimits& limits) {
  json value = LimitJson(limits.Of(violation.kind));
  value["kind"] = Text(Name(violation.kind));
  value["app_id"] = violation.app_id;
  if (!violation.identity.empty()) value["identity"] = violation.identity;
  value["requests"] = violation.requests;
  value["worst_use"] = violation.worst_use;
  value["worst_excess"] = violation.worst_use - limits.Of(violation.kind).most;
  value["first"] = Text(violation.first);
  value["last"] = Text(violation.last);
  return value;
}

json Summary(const HeapSimulator& simulator, const Now& now) {
  json regions = json::object();
  for (const Region region : kRegions) {
    regions[Text(Name(region))] = RegionJson(simulator.tally(region));
  }
  json apps = json::object();
  for (const auto& [id, tally] : simulator.apps()) {
    apps[id] = AppJson(simulator, id, tally);
  }
  return {{"time", Text(now.wall)},
          {"total", TotalJson(simulator)},
          {"regions", std::move(regions)},
          {"apps", std::move(apps)}};
}

}  // namespace heapsync::fake_heap
