#ifndef HEAPSYNC_SERVER_OBSERVE_METRIC_ROWS_H_
#define HEAPSYNC_SERVER_OBSERVE_METRIC_ROWS_H_

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace heapsync {

using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

// A family without rows. `name` and `help` must follow Prometheus's naming
// conventions: base units, and counters end in "_total".
inline prometheus::MetricFamily NewFamily(prometheus::MetricType type,
                                          absl::string_view name,
                                          absl::string_view help) {
  prometheus::MetricFamily family;
  family.name = std::string(name);
  family.help = std::string(help);
  family.type = type;
  return family;
}

// Adds a row to a family of counters or gauges.
inline void AddRow(prometheus::MetricFamily& family, double value,
                   MetricLabels labels = {}) {
  prometheus::ClientMetric& row = family.metric.emplace_back();
  row.label = std::move(labels);
  if (family.type == prometheus::MetricType::Counter) {
    row.counter.value = value;
  } else {
    row.gauge.value = value;
  }
}

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_METRIC_ROWS_H_
