#ifndef HEAPSYNC_SERVER_OBSERVE_OWNER_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_OWNER_METRICS_H_

#include <prometheus/collectable.h>

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

namespace heapsync {

// The part of a server in a shared spool.
struct Ownership {
  // Time for which it goes on without a renewal of its lease.
  std::chrono::nanoseconds lease_left{};
  std::vector<bool> shards;  // true: it delivers from this one
};

// Shows which shards of the shared spool this server owns, and for how long
// without a renewal of its lease. Any thread.
class OwnerMetrics final : public prometheus::Collectable {
 public:
  explicit OwnerMetrics(std::function<Ownership()> ownership)
      : ownership_(std::move(ownership)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<Ownership()> ownership_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_OWNER_METRICS_H_
