#include "server/observe/owner_metrics.h"

#include <cstddef>
#include <string>

#include "server/observe/metric_rows.h"

namespace heapsync {

std::vector<prometheus::MetricFamily> OwnerMetrics::Collect() const {
  const Ownership ownership = ownership_();
  const std::vector<Ownership::Database>& databases = ownership.databases;
  std::vector<prometheus::MetricFamily> families;
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_owner",
      "1 if this server owns the shard of the shared spool and delivers from "
      "it, 0 if it only accepts."));
  for (size_t shard = 0; shard < ownership.shards.size(); ++shard) {
    const bool owns =
        ownership.shards[shard] &&
        databases[shard % databases.size()].lease_left.count() > 0;
    AddRow(families.back(), owns ? 1 : 0, {{"shard", std::to_string(shard)}});
  }
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_lease_seconds",
      "Time for which this server still owns its shards in a database of the "
      "shared spool if it cannot renew its lease; at zero it sends nothing."));
  for (size_t i = 0; i < databases.size(); ++i) {
    const std::chrono::duration<double> left = databases[i].lease_left;
    AddRow(families.back(), left.count(),
           {{"database", std::to_string(i + 1)}});
  }
  families.push_back(NewFamily(
      prometheus::MetricType::Gauge, "heapsync_spool_database_up",
      "1 if this server can use the database of the shared spool, 0 if it is "
      "away."));
  for (size_t i = 0; i < databases.size(); ++i) {
    AddRow(families.back(), databases[i].up ? 1 : 0,
           {{"database", std::to_string(i + 1)}});
  }
  return families;
}

}  // namespace heapsync
