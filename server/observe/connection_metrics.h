#ifndef HEAPSYNC_SERVER_OBSERVE_CONNECTION_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_CONNECTION_METRICS_H_

#include <prometheus/collectable.h>

#include <vector>

#include "server/net/connection_guard.h"

namespace heapsync {

// The open connections of the gRPC port by what they proved, and those that the
// server ended, by reason. `guard` must outlive it. Any thread.
class ConnectionMetrics final : public prometheus::Collectable {
 public:
  explicit ConnectionMetrics(const ConnectionGuard& guard) : guard_(guard) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const ConnectionGuard& guard_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_CONNECTION_METRICS_H_
