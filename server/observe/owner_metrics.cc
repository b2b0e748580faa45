#include "server/observe/owner_metrics.h"

#include "server/observe/metric_rows.h"

namespace heapsync {

std::vector<prometheus::MetricFamily> OwnerMetrics::Collect() const {
  const std::chrono::duration<double> left = lease_left_();
  std::vector<prometheus::MetricFamily> families;
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_owner",
      "1 if this server owns the shared spool and delivers from it, 0 if "
      "it only accepts."));
  AddRow(families.back(), left.count() > 0 ? 1 : 0);
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_lease_seconds",
      "Time for which this server still owns the shared spool if it cannot "
      "renew its lease; at zero it sends nothing."));
  AddRow(families.back(), left.count());
  return families;
}

}  // namespace heapsync
