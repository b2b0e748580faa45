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
  struct Database {
    bool up = false;
    // Time for which it goes on there without a renewal of its lease.
    std::chrono::nanoseconds lease_left{};
  };
  std::vector<bool> shards;  // true: it delivers from this one
  // At least one. Those that hold the shards in turn.
  std::vector<Database> databases;
};

// Shows which shards of the shared spool this server owns, for how long without
// a renewal of its leases, and which databases can be used. Any thread.
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
