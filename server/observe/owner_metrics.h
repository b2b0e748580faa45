#ifndef HEAPSYNC_SERVER_OBSERVE_OWNER_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_OWNER_METRICS_H_

#include <prometheus/collectable.h>

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

namespace heapsync {

// Shows whether this server owns the shared spool, and for how long without a
// renewal of its lease. Any thread.
class OwnerMetrics final : public prometheus::Collectable {
 public:
  // `lease_left` is zero in a server that owns nothing.
  explicit OwnerMetrics(std::function<std::chrono::nanoseconds()> lease_left)
      : lease_left_(std::move(lease_left)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<std::chrono::nanoseconds()> lease_left_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_OWNER_METRICS_H_
