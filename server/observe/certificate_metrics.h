#ifndef HEAPSYNC_SERVER_OBSERVE_CERTIFICATE_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_CERTIFICATE_METRICS_H_

#include <prometheus/collectable.h>

#include <functional>
#include <utility>
#include <vector>

#include "server/config/tls_material.h"

namespace heapsync {

// Shows when the certificates expire that are in use. Any thread.
class CertificateMetrics final : public prometheus::Collectable {
 public:
  // `expiries` is called by any thread.
  explicit CertificateMetrics(
      std::function<std::vector<CertificateExpiry>()> expiries)
      : expiries_(std::move(expiries)) {}

  // Nothing without a certificate.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<std::vector<CertificateExpiry>()> expiries_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_CERTIFICATE_METRICS_H_
