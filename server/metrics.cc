#include "server/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>

#include "server/metric_rows.h"

namespace heapsync {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<DestinationState, 4> kStates = {
    DestinationState::kActive, DestinationState::kBackingOff,
    DestinationState::kNeedsAttention, DestinationState::kPaused};

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// A family with the value that each destination has for it.
struct DestinationMetric {
  MetricType type;
  const char* name;
  const char* help;
  std::optional<double> (*value)(const DestinationSnapshot&);
};

constexpr DestinationMetric kDestinationMetrics[] = {
    {MetricType::Gauge, "heapsync_allowance_used_events",
     "Events that count against Heap's limit of the current minute.",
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
     "Time until what waits is delivered, if nothing more comes. Absent: "
     "nothing moves.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       if (!d.drained_in.has_value()) return std::nullopt;
       return Seconds(*d.drained_in);
     }},
    {MetricType::Gauge, "heapsync_requests_under_way",
     "Requests that wait for Heap's answer.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.requests_under_way;
     }},
    {MetricType::Gauge, "heapsync_requests_under_way_limit",
     "Requests that may be under way at once; adapts to Heap's answers.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       return d.concurrency_limit;
     }},
    {MetricType::Gauge, "heapsync_last_error_timestamp_seconds",
     "When a request last failed, in seconds since the epoch. Absent: never "
     "since the start.",
     [](const DestinationSnapshot& d) -> std::optional<double> {
       if (!d.last_error_at.has_value()) return std::nullopt;
       return Seconds(d.last_error_at->time_since_epoch());
     }},
};

// The same for each lane.
struct LaneMetric {
  MetricType type;
  const char* name;
  const char* help;
  uint64_t (*value)(const LaneSnapshot&);
};

constexpr LaneMetric kLaneMetrics[] = {
    {MetricType::Counter, "heapsync_items_accepted_total",
     "Items stored durably.",
     [](const LaneSnapshot& lane) { return lane.counts.appended; }},
    {MetricType::Counter, "heapsync_items_delivered_total",
     "Items that Heap took, merged ones included.",
     [](const LaneSnapshot& lane) { return lane.counts.delivered; }},
    {MetricType::Counter, "heapsync_items_dead_lettered_total",
     "Items given up, kept for a person to look at.",
     [](const LaneSnapshot& lane) { return lane.counts.dead_lettered; }},
    {MetricType::Counter, "heapsync_items_merged_total",
     "Property updates that were merged into another one before sending.",
     [](const LaneSnapshot& lane) { return lane.counts.merged; }},
    {MetricType::Counter, "heapsync_items_set_aside_total",
     "Items put aside until their identity's limit allows them.",
     [](const LaneSnapshot& lane) { return lane.counts.set_aside; }},
    {MetricType::Gauge, "heapsync_queued_items",
     "Items neither delivered nor dead-lettered yet.",
     [](const LaneSnapshot& lane) { return lane.queued_items; }},
    {MetricType::Gauge, "heapsync_queued_bytes",
     "Bytes of the items neither delivered nor dead-lettered yet.",
     [](const LaneSnapshot& lane) { return lane.queued_bytes; }},
    {MetricType::Gauge, "heapsync_set_aside_items",
     "Queued items that wait for their identity's limit.",
     [](const LaneSnapshot& lane) { return lane.aside_items; }},
};

MetricLabels LabelsOf(const DestinationSnapshot& destination) {
  return {{"destination", destination.name}};
}

MetricLabels LabelsOf(const DestinationSnapshot& destination,
                      const LaneSnapshot& lane) {
  return {{"destination", destination.name},
          {"type", std::string(Name(lane.type))}};
}

void AddServer(const ServerStatus& status, absl::string_view version,
               std::vector<MetricFamily>& families) {
  const auto add = [&](MetricType type, absl::string_view name,
                       absl::string_view help, double value) {
    AddRow(families.emplace_back(NewFamily(type, name, help)), value);
  };
  AddRow(
      families.emplace_back(NewFamily(MetricType::Gauge, "heapsync_build_info",
                                      "Always 1; the label tells.")),
      1, {{"version", std::string(version)}});
  add(MetricType::Gauge, "heapsync_spool_healthy",
      "0 once the spool failed to write: nothing is accepted until a restart.",
      status.spool_healthy ? 1 : 0);
  add(MetricType::Gauge, "heapsync_spool_disk_nearly_full",
      "1 while new items are refused for want of disk space.",
      status.disk_nearly_full ? 1 : 0);
  add(MetricType::Counter, "heapsync_spool_commits_total",
      "Writes to the spool, each with all that waited.",
      static_cast<double>(status.spool_commits));
  add(MetricType::Counter, "heapsync_spool_syncs_total",
      "Writes that were synced to the disk.",
      static_cast<double>(status.spool_syncs));
  if (status.taken_at.has_value()) {
    add(MetricType::Gauge, "heapsync_snapshot_age_seconds",
        "Age of the numbers per destination; grows while the dispatcher is too "
        "busy to tell them.",
        Seconds(status.now.monotonic - *status.taken_at));
  }
}

void AddDestinations(const ServerStatus& status,
                     std::vector<MetricFamily>& families) {
  for (const DestinationMetric& metric : kDestinationMetrics) {
    MetricFamily family = NewFamily(metric.type, metric.name, metric.help);
    for (const DestinationStatus& destination : status.destinations) {
      if (const auto value = metric.value(destination.snapshot)) {
        AddRow(family, *value, LabelsOf(destination.snapshot));
      }
    }
    families.push_back(std::move(family));
  }
  MetricFamily info =
      NewFamily(MetricType::Gauge, "heapsync_destination_info",
                "Always 1; the labels tell. The App ID is masked.");
  MetricFamily states = NewFamily(
      MetricType::Gauge, "heapsync_destination_state",
      "1 for the state that the destination is in, 0 for the others.");
  for (const DestinationStatus& destination : status.destinations) {
    const DestinationSnapshot& snapshot = destination.snapshot;
    AddRow(info, 1,
           {{"destination", snapshot.name},
            {"region", std::string(Name(snapshot.region))},
            {"masked_app_id", snapshot.masked_app_id}});
    for (const DestinationState state : kStates) {
      MetricLabels labels = LabelsOf(snapshot);
      labels.push_back({"state", std::string(Name(state))});
      AddRow(states, snapshot.state == state ? 1 : 0, std::move(labels));
    }
  }
  families.push_back(std::move(info));
  families.push_back(std::move(states));
}

void AddLanes(const ServerStatus& status, std::vector<MetricFamily>& families) {
  for (const LaneMetric& metric : kLaneMetrics) {
    MetricFamily family = NewFamily(metric.type, metric.name, metric.help);
    for (const DestinationStatus& destination : status.destinations) {
      for (const LaneSnapshot& lane : destination.snapshot.lanes) {
        AddRow(family, static_cast<double>(metric.value(lane)),
               LabelsOf(destination.snapshot, lane));
      }
    }
    families.push_back(std::move(family));
  }
  MetricFamily ages = NewFamily(
      MetricType::Gauge, "heapsync_oldest_item_age_seconds",
      "Time since the acceptance of the oldest item that waits; 0 if none.");
  for (const DestinationStatus& destination : status.destinations) {
    const DestinationSnapshot& snapshot = destination.snapshot;
    for (size_t i = 0; i < snapshot.lanes.size(); ++i) {
      const std::optional<WallTime> oldest = destination.oldest_waiting[i];
      const Duration age =
          oldest.has_value()
              ? std::max(status.now.wall - *oldest, Duration::zero())
              : Duration::zero();
      AddRow(ages, Seconds(age), LabelsOf(snapshot, snapshot.lanes[i]));
    }
  }
  families.push_back(std::move(ages));
}

}  // namespace

std::string MetricsText(
    const ServerStatus& status, absl::string_view version,
    const std::vector<const prometheus::Collectable*>& others) {
  std::vector<MetricFamily> families;
  AddServer(status, version, families);
  AddDestinations(status, families);
  AddLanes(status, families);
  for (const prometheus::Collectable* other : others) {
    std::vector<MetricFamily> more = other->Collect();
    std::move(more.begin(), more.end(), std::back_inserter(families));
  }
  // A family without rows would leave a HELP and a TYPE of nothing.
  families.erase(std::remove_if(families.begin(), families.end(),
                                [](const MetricFamily& family) {
                                  return family.metric.empty();
                                }),
                 families.end());
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace heapsync
