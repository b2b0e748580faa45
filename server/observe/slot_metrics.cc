#include "server/observe/slot_metrics.h"

#include "server/observe/metric_rows.h"

namespace heapsync {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::vector<MetricFamily> SlotMetrics::Collect() const {
  MetricFamily open =
      NewFamily(MetricType::Gauge, "heapsync_open_calls",
                "Open calls whose number is bounded, by kind; delivery_wait: "
                "unary calls that wait for a delivery.");
  MetricFamily refused =
      NewFamily(MetricType::Counter, "heapsync_calls_without_slot_total",
                "Calls that were refused because all slots of their kind were "
                "taken, or their caller's share of them.");
  for (const Kind& kind : kinds_) {
    const CallSlots::Counts counts = kind.slots.Read();
    AddRow(open, counts.open, {{"kind", kind.name}});
    AddRow(refused, static_cast<double>(counts.refused_all_taken),
           {{"kind", kind.name}, {"reason", "all_taken"}});
    AddRow(refused, static_cast<double>(counts.refused_share_taken),
           {{"kind", kind.name}, {"reason", "caller_share"}});
  }
  MetricFamily ended = NewFamily(
      MetricType::Counter, "heapsync_silent_streams_ended_total",
      "Silent bulk streams that were ended because their places were needed.");
  AddRow(ended, static_cast<double>(silent_streams_ended_()));
  return {std::move(open), std::move(refused), std::move(ended)};
}

}  // namespace heapsync
