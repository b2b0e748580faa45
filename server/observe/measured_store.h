#ifndef HEAPSYNC_SERVER_OBSERVE_MEASURED_STORE_H_
#define HEAPSYNC_SERVER_OBSERVE_MEASURED_STORE_H_

#include <prometheus/collectable.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// The writes to a spool, whatever stores it has, and the space on its disk. Any
// thread.
class SpoolMetrics final : public prometheus::Collectable {
 public:
  // The spool is in `folder`; empty: in no folder. `reserve_bytes` is only
  // reported: new items are refused while the folder's file system has less
  // space free.
  SpoolMetrics(std::string folder, uint64_t reserve_bytes);

  void OnWrite(std::chrono::duration<double> took, size_t bytes,
               Durability durability, const absl::Status& status);

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

// A decorator that measures the writes of another store. Behaves like `store`;
// the same threads may call it.
class MeasuredStore final : public Store {
 public:
  // Both must outlive this.
  MeasuredStore(Store& store, SpoolMetrics& metrics)
      : store_(store), metrics_(metrics) {}

  absl::Status Write(const StoreBatch& batch, Durability durability) override;
  bool shared() const override { return store_.shared(); }
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override;
  absl::Status Resume() override { return store_.Resume(); }
  void ReclaimSpace(const SpaceNeeds& needs) override {
    store_.ReclaimSpace(needs);
  }
  absl::StatusOr<std::optional<std::string>> Get(
      absl::string_view key) const override {
    return store_.Get(key);
  }
  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    return store_.Scan(begin, end);
  }
  absl::StatusOr<std::optional<std::pair<std::string, std::string>>> Last(
      absl::string_view begin, absl::string_view end) const override {
    return store_.Last(begin, end);
  }
  absl::StatusOr<FirstEntries> FirstOfEach(
      absl::Span<const KeyRange> ranges) const override {
    return store_.FirstOfEach(ranges);
  }

 private:
  absl::Status Measure(absl::FunctionRef<absl::Status()> write, size_t& bytes,
                       Durability durability);

  Store& store_;
  SpoolMetrics& metrics_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_SERVER_OBSERVE_MEASURED_STORE_H_
