#ifndef HEAPSYNC_SERVER_OBSERVE_CALL_METRICS_H_
#define HEAPSYNC_SERVER_OBSERVE_CALL_METRICS_H_

#include <grpcpp/grpcpp.h>
#include <prometheus/collectable.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace heapsync {

// Counts and times gRPC calls by method and code, under the names that gRPC's
// Prometheus libraries of other languages use. A call costs a few atomic
// additions and no lock.
class CallMetrics final : public prometheus::Collectable {
 public:
  // Counts the methods of `services`, names such as
  // "heapsync.v1.HeapSyncService"; those that are not linked into this program
  // are left out, and so are calls of all other methods.
  explicit CallMetrics(const std::vector<std::string>& services);
  ~CallMetrics() override;

  struct Method;
  // Counts a call that begins. `method` is its full name, "/service/method".
  // Null: its calls are not counted. Any thread.
  Method* Begin(absl::string_view method) const;
  static void End(Method& method, grpc::StatusCode code,
                  std::chrono::nanoseconds duration);

  // Any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  static constexpr size_t kCodes = 17;  // OK to UNAUTHENTICATED
  // Upper bounds in seconds; longer calls are counted in one more bucket.
  static constexpr std::array<double, 11> kBuckets = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10};

  // By full name, "/service/method"; its entries never change.
  absl::flat_hash_map<std::string, std::unique_ptr<Method>> methods_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_CALL_METRICS_H_
