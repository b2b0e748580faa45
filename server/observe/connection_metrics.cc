#include "server/observe/connection_metrics.h"

#include <string>
#include <utility>

#include "server/observe/metric_rows.h"

namespace heapsync {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::vector<MetricFamily> ConnectionMetrics::Collect() const {
  const ConnectionGuard::Counts counts = guard_.Read();
  MetricFamily open = NewFamily(
      MetricType::Gauge, "heapsync_connections",
      "Open gRPC connections: known (a call was admitted), probe (a health "
      "check was answered), stranger, or arriving (gRPC does not have it yet: "
      "its greeting is not whole, or it waits for a place).");
  AddRow(open, static_cast<double>(counts.known), {{"standing", "known"}});
  AddRow(open, static_cast<double>(counts.probes), {{"standing", "probe"}});
  AddRow(open, static_cast<double>(counts.strangers),
         {{"standing", "stranger"}});
  AddRow(open, static_cast<double>(counts.arriving),
         {{"standing", "arriving"}});
  MetricFamily ended = NewFamily(
      MetricType::Counter, "heapsync_connections_ended_total",
      "gRPC connections that the server ended: without a call in time, to make "
      "place, for bytes before their first admitted call, for calls without "
      "rights or given up by the hundred, or since they spoke neither TLS nor "
      "HTTP/2, whichever the port speaks.");
  for (const ClosingReason reason : kClosingReasons) {
    AddRow(ended,
           static_cast<double>(counts.ended[static_cast<size_t>(reason)]),
           {{"reason", std::string(NameOf(reason))}});
  }
  return {std::move(open), std::move(ended)};
}

}  // namespace heapsync
