#ifndef HEAPSYNC_SERVER_OBSERVE_SPOOL_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_SPOOL_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heapsync {

// The writes to a spool, whatever stores it has, and the space on its disk. Any
// thread.
class SpoolMetrics final : public prometheus::Collectable {
 public:
  // The spool is in `folder`; empty: in no folder. `reserve_bytes` is only
  // reported: new items are refused while the folder's file system has less
  // space free.
  SpoolMetrics(std::string folder, uint64_t reserve_bytes);

  // See AdapterEvents::write.
  void OnWrite(std::chrono::duration<double> took, size_t bytes, bool synced,
               bool ok);

  // Leaves out values that the file system does not report.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::string folder_;
  const uint64_t reserve_bytes_;
  prometheus::Registry registry_;
  // Owned by `registry_`.
  prometheus::Histogram& synced_;
  prometheus::Histogram& unsynced_;
  prometheus::Counter& bytes_;
  prometheus::Counter& failures_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_SPOOL_METRICS_H_
