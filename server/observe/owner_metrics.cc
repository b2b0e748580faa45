#include "server/observe/owner_metrics.h"

#include <cstddef>
#include <string>

#include "server/observe/metric_rows.h"

namespace heapsync {

std::vector<prometheus::MetricFamily> OwnerMetrics::Collect() const {
  const Ownership ownership = ownership_();
  const std::chrono::duration<double> left = ownership.lease_left;
  std::vector<prometheus::MetricFamily> families;
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_owner",
      "1 if this server owns the shard of the shared spool and delivers from "
      "it, 0 if it only accepts."));
  for (size_t shard = 0; shard < ownership.shards.size(); ++shard) {
    const bool owns = ownership.shards[shard] && left.count() > 0;
    AddRow(families.back(), owns ? 1 : 0, {{"shard", std::to_string(shard)}});
  }
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_lease_seconds",
      "Time for which this server still owns its shards of the shared spool if "
      "it cannot renew its lease; at zero it sends nothing."));
  AddRow(families.back(), left.count());
  return families;
}

}  // namespace heapsync
