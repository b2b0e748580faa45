#include "server/observe/certificate_metrics.h"

#include <chrono>
#include <string>

#include "server/observe/metric_rows.h"

namespace heapsync {

std::vector<prometheus::MetricFamily> CertificateMetrics::Collect() const {
  const std::vector<CertificateExpiry> expiries = expiries_();
  if (expiries.empty()) return {};
  prometheus::MetricFamily family = NewFamily(
      prometheus::MetricType::Gauge,
      "heapsync_certificate_expiration_timestamp_seconds",
      "Time at which a certificate file stops working, in seconds since the "
      "epoch.");
  for (const CertificateExpiry& each : expiries) {
    const std::chrono::duration<double> seconds =
        each.not_after.time_since_epoch();
    AddRow(family, seconds.count(),
           {{.name = "certificate", .value = std::string(each.use)}});
  }
  return {std::move(family)};
}

}  // namespace heapsync
