#include "server/observe/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/ascii.h"
#include "server/observe/metric_rows.h"

namespace heapsync {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Numbers for one value of the label "destination": one destination, or the sum
// of all that have no metrics of their own. `total` has no lanes: their numbers
// are in `types`.
struct Group {
  DestinationSnapshot total;
  std::vector<std::pair<ObjectType, TypeNumbers>> types;
  std::array<uint64_t, kDestinationStates.size()> states{};
};

template <typename T>
void KeepGreatest(const std::optional<T>& value, std::optional<T>& greatest) {
  if (!greatest.has_value() || (value.has_value() && *value > *greatest)) {
    greatest = value;
  }
}

Group EmptyGroup(std::string name) {
  Group group{};
  group.total.name = std::move(name);
  for (const ObjectType type : kObjectTypes) {
    group.types.emplace_back(type, TypeNumbers{});
  }
  return group;
}

void Add(const DestinationStatus& destination, Group& group) {
  const DestinationSnapshot& from = destination.snapshot;
  DestinationSnapshot& to = group.total;
  to.region = from.region;
  to.masked_app_id = from.masked_app_id;
  to.in_flight_requests += from.in_flight_requests;
  to.concurrency_limit += from.concurrency_limit;
  to.allowance_used += from.allowance_used;
  to.allowance_total += from.allowance_total;
  to.dead_letters.letters += from.dead_letters.letters;
  to.dead_letters.bytes += from.dead_letters.bytes;
  to.max_dead_letter_bytes += from.max_dead_letter_bytes;
  KeepGreatest(from.drained_in, to.drained_in);
  KeepGreatest(from.last_error_at, to.last_error_at);
  for (size_t i = 0; i < kDestinationStates.size(); ++i) {
    if (from.state == kDestinationStates[i]) ++group.states[i];
  }
  for (size_t i = 0; i < from.lanes.size(); ++i) {
    for (auto& [type, numbers] : group.types) {
      if (from.lanes[i].type != type) continue;
      numbers.Add(from.lanes[i], destination.oldest_waiting[i]);
    }
  }
}

// Which destinations count: those that this server delivers, or also those of
// which it has only accepted items.
enum class Among { kAccepted, kDelivered };

std::vector<const DestinationStatus*> CountedIn(const ServerStatus& status,
                                                Among among) {
  std::vector<const DestinationStatus*> counted;
  for (const DestinationStatus& each : status.destinations) {
    if (each.snapshot.delivers) counted.push_back(&each);
  }
  if (among == Among::kDelivered) return counted;
  for (const DestinationStatus& each : status.accepted) {
    counted.push_back(&each);
  }
  return counted;
}

std::vector<Group> GroupsOf(const ServerStatus& status,
                            MetricDestinations& destinations, Among among) {
  std::vector<Group> groups;
  std::optional<Group> other;
  for (const DestinationStatus* counted : CountedIn(status, among)) {
    const DestinationStatus& destination = *counted;
    const std::string& name = destination.snapshot.name;
    if (destinations.HasOwn(name)) {
      Add(destination, groups.emplace_back(EmptyGroup(name)));
      continue;
    }
    if (!other.has_value()) other = EmptyGroup(MetricDestinations::kOther);
    Add(destination, *other);
  }
  if (other.has_value()) groups.push_back(*std::move(other));
  return groups;
}

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// A metric family with one value per destination.
struct DestinationMetric {
  MetricType type;
  const char* name;
  const char* help;
  std::optional<double> (*value)(const DestinationSnapshot&);
};

constexpr DestinationMetric kDestinationMetrics[] = {
    {MetricType::Gauge, "heapsync_allowance_used_events",
     "Events that currently count against Heap's limit per minute.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.allowance_used;
     }},
    {MetricType::Gauge, "heapsync_allowance_limit_events",
     "Events that may be sent in any minute. Absent: unlimited.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       if (d.allowance_total == 0) return std::nullopt;
       return d.allowance_total;
     }},
    {MetricType::Gauge, "heapsync_drain_forecast_seconds",
     "Estimated time until the backlog is delivered, if nothing is added. "
     "Absent: the delivery rate is unknown.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       if (!d.drained_in.has_value()) return std::nullopt;
       return Seconds(*d.drained_in);
     }},
    {MetricType::Gauge, "heapsync_in_flight_requests",
     "Requests that await Heap's response.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.in_flight_requests;
     }},
    {MetricType::Gauge, "heapsync_in_flight_requests_limit",
     "Maximum number of requests in flight; adapts to Heap's responses.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.concurrency_limit;
     }},
    {MetricType::Gauge, "heapsync_dead_letters",
     "Dead letters that are kept for a person.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.dead_letters.letters;
     }},
    {MetricType::Gauge, "heapsync_dead_letter_bytes",
     "Bytes that dead letters take in the spool.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.dead_letters.bytes;
     }},
    {MetricType::Gauge, "heapsync_dead_letter_limit_bytes",
     "Bytes of dead letters from which on new items are rejected.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.max_dead_letter_bytes;
     }},
    {MetricType::Gauge, "heapsync_last_error_timestamp_seconds",
     "Time of the last failed request, in seconds since the epoch. Absent: "
     "none has failed since the start.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       if (!d.last_error_at.has_value()) return std::nullopt;
       return Seconds(d.last_error_at->time_since_epoch());
     }},
};

// A metric family with one value per item type.
struct TypeMetric {
  MetricType type;
  const char* name;
  const char* help;
  uint64_t (*value)(const TypeNumbers&);
  // Known to the server that accepted the items, whichever delivers them.
  bool of_acceptance = false;
};

constexpr TypeMetric kTypeMetrics[] = {
    {MetricType::Counter, "heapsync_items_accepted_total",
     "Items stored durably.",
     [](const TypeNumbers& numbers) { return numbers.counts.appended; }, true},
    {MetricType::Counter, "heapsync_items_delivered_total",
     "Items that Heap took, including coalesced ones.",
     [](const TypeNumbers& numbers) { return numbers.counts.delivered; }},
    {MetricType::Counter, "heapsync_items_coalesced_total",
     "Property updates coalesced into another one before sending.",
     [](const TypeNumbers& numbers) { return numbers.counts.coalesced; }},
    {MetricType::Counter, "heapsync_items_deferred_total",
     "Items deferred until their identity's limit allows them.",
     [](const TypeNumbers& numbers) { return numbers.counts.deferred; }},
    {MetricType::Gauge, "heapsync_queued_items",
     "Items neither delivered nor dead-lettered yet.",
     [](const TypeNumbers& numbers) { return numbers.queued_items; }},
    {MetricType::Gauge, "heapsync_queued_bytes",
     "Bytes of items neither delivered nor dead-lettered yet.",
     [](const TypeNumbers& numbers) { return numbers.queued_bytes; }},
    {MetricType::Gauge, "heapsync_deferred_items",
     "Queued items that are deferred for their identity's limit or order, or "
     "isolated.",
     [](const TypeNumbers& numbers) { return numbers.deferred_items; }},
    {MetricType::Counter, "heapsync_items_isolated_total",
     "Items isolated because Heap failed at them.",
     [](const TypeNumbers& numbers) { return numbers.counts.isolated; }},
    {MetricType::Gauge, "heapsync_isolated_items",
     "Deferred items that are isolated because Heap fails at them.",
     [](const TypeNumbers& numbers) { return numbers.isolated_items; }},
};

MetricLabels LabelsOf(const DestinationSnapshot& destination) {
  return {{"destination", destination.name}};
}

MetricLabels LabelsOf(const DestinationSnapshot& destination, ObjectType type) {
  return {{"destination", destination.name}, {"type", std::string(Name(type))}};
}

void AddServer(const ServerStatus& status, absl::string_view version,
               std::vector<MetricFamily>& families) {
  const auto add = [&](MetricType type, absl::string_view name,
                       absl::string_view help, double value) {
    AddRow(families.emplace_back(NewFamily(type, name, help)), value);
  };
  AddRow(
      families.emplace_back(NewFamily(MetricType::Gauge, "heapsync_build_info",
                                      "Constant 1; the version is the label.")),
      1, {{"version", std::string(version)}});
  add(MetricType::Gauge, "heapsync_spool_healthy",
      "0 after a write to the spool failed: nothing is accepted until a "
      "restart.",
      status.spool.healthy ? 1 : 0);
  add(MetricType::Gauge, "heapsync_spool_disk_nearly_full",
      "1 while new items are rejected for lack of disk space.",
      status.spool.disk_nearly_full ? 1 : 0);
  add(MetricType::Counter, "heapsync_spool_commits_total",
      "Writes to the spool; each is a group commit.",
      static_cast<double>(status.spool.commits));
  add(MetricType::Counter, "heapsync_spool_syncs_total",
      "Writes to the spool that were synced to disk.",
      static_cast<double>(status.spool.syncs));
  if (status.taken_at.has_value()) {
    add(MetricType::Gauge, "heapsync_snapshot_age_seconds",
        "Age of the metrics by destination; grows while the dispatcher is too "
        "busy to report them.",
        Seconds(status.now.monotonic - *status.taken_at));
  }
}

void AddDestinations(const std::vector<Group>& groups,
                     std::vector<MetricFamily>& families) {
  for (const DestinationMetric& metric : kDestinationMetrics) {
    MetricFamily family = NewFamily(metric.type, metric.name, metric.help);
    for (const Group& group : groups) {
      if (const auto value = metric.value(group.total)) {
        AddRow(family, *value, LabelsOf(group.total));
      }
    }
    families.push_back(std::move(family));
  }
  MetricFamily info =
      NewFamily(MetricType::Gauge, "heapsync_destination_info",
                "Constant 1; the labels describe the destination. The App ID "
                "is masked.");
  MetricFamily states =
      NewFamily(MetricType::Gauge, "heapsync_destination_state",
                "1 for the current state of the destination, 0 for the others. "
                "For _other: the number of destinations in the state.");
  for (const Group& group : groups) {
    const DestinationSnapshot& snapshot = group.total;
    if (snapshot.name != MetricDestinations::kOther) {
      AddRow(info, 1,
             {{"destination", snapshot.name},
              {"region", std::string(Name(snapshot.region))},
              {"masked_app_id", snapshot.masked_app_id}});
    }
    for (size_t i = 0; i < kDestinationStates.size(); ++i) {
      MetricLabels labels = LabelsOf(snapshot);
      labels.push_back({"state", std::string(Name(kDestinationStates[i]))});
      AddRow(states, static_cast<double>(group.states[i]), std::move(labels));
    }
  }
  families.push_back(std::move(info));
  families.push_back(std::move(states));
}

MetricFamily DeadLetters(const std::vector<Group>& groups) {
  MetricFamily family =
      NewFamily(MetricType::Counter, "heapsync_items_dead_lettered_total",
                "Items given up and kept as dead letters, by reason.");
  for (const Group& group : groups) {
    for (const auto& [type, numbers] : group.types) {
      for (size_t i = 1; i <= kDeadLetterReasons; ++i) {
        MetricLabels labels = LabelsOf(group.total, type);
        labels.push_back({"reason", absl::AsciiStrToLower(Name(
                                        static_cast<DeadLetterReason>(i)))});
        AddRow(family, static_cast<double>(numbers.counts.dead_lettered_for[i]),
               std::move(labels));
      }
    }
  }
  return family;
}

MetricFamily OldestAges(const std::vector<Group>& groups, WallTime now) {
  MetricFamily family = NewFamily(
      MetricType::Gauge, "heapsync_oldest_item_age_seconds",
      "Time since the oldest queued item was accepted; 0 if none is queued.");
  for (const Group& group : groups) {
    for (const auto& [type, numbers] : group.types) {
      const Duration age = std::max(now - numbers.oldest_waiting.value_or(now),
                                    Duration::zero());
      AddRow(family, Seconds(age), LabelsOf(group.total, type));
    }
  }
  return family;
}

// Each fact is reported by one server.
void AddTypes(const std::vector<Group>& accepted,
              const std::vector<Group>& delivered, WallTime now,
              std::vector<MetricFamily>& families) {
  for (const TypeMetric& metric : kTypeMetrics) {
    MetricFamily family = NewFamily(metric.type, metric.name, metric.help);
    for (const Group& group : metric.of_acceptance ? accepted : delivered) {
      for (const auto& [type, numbers] : group.types) {
        AddRow(family, static_cast<double>(metric.value(numbers)),
               LabelsOf(group.total, type));
      }
    }
    families.push_back(std::move(family));
  }
  families.push_back(DeadLetters(delivered));
  families.push_back(OldestAges(delivered, now));
}

// Accepted items by caller.
MetricFamily CallerItems(const ServerStatus& status,
                         MetricDestinations& destinations) {
  absl::btree_map<std::tuple<std::string, ObjectType, std::string>, uint64_t>
      rows;
  for (const DestinationStatus* counted : CountedIn(status, Among::kAccepted)) {
    const DestinationStatus& destination = *counted;
    const std::string label = destinations.LabelOf(destination.snapshot.name);
    for (const LaneSnapshot& lane : destination.snapshot.lanes) {
      if (lane.counts.appended == 0) continue;
      rows[{label, lane.type,
            destinations.CallerLabelOf(label, lane.caller)}] +=
          lane.counts.appended;
    }
  }
  MetricFamily family = NewFamily(
      MetricType::Counter, "heapsync_caller_items_accepted_total",
      "Items stored durably, by caller; a caller appears with its first "
      "item.");
  for (const auto& [key, items] : rows) {
    const auto& [destination, type, caller] = key;
    AddRow(family, static_cast<double>(items),
           {{"destination", destination},
            {"type", std::string(Name(type))},
            {"caller", caller}});
  }
  return family;
}

}  // namespace

std::string MetricsText(
    const ServerStatus& status, absl::string_view version,
    MetricDestinations& destinations,
    const std::vector<const prometheus::Collectable*>& others) {
  std::vector<MetricFamily> families;
  AddServer(status, version, families);
  const std::vector<Group> accepted =
      GroupsOf(status, destinations, Among::kAccepted);
  const std::vector<Group> some =
      status.accepted.empty()
          ? std::vector<Group>()
          : GroupsOf(status, destinations, Among::kDelivered);
  const std::vector<Group>& delivered =
      status.accepted.empty() ? accepted : some;
  AddDestinations(delivered, families);
  AddTypes(accepted, delivered, status.now.wall, families);
  families.push_back(CallerItems(status, destinations));
  for (const prometheus::Collectable* other : others) {
    std::vector<MetricFamily> more = other->Collect();
    std::move(more.begin(), more.end(), std::back_inserter(families));
  }
  // A family without rows would be written as HELP and TYPE alone.
  families.erase(std::remove_if(families.begin(), families.end(),
                                [](const MetricFamily& family) {
                                  return family.metric.empty();
                                }),
                 families.end());
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace heapsync
