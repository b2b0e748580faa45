#ifndef HEAPSYNC_SERVER_OBSERVE_MEASURED_STORE_H_
#define HEAPSYNC_SERVER_OBSERVE_MEASURED_STORE_H_

#include <prometheus/collectable.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

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

// A decorator that measures the writes of another store and the space on its
// disk. Behaves like `store`; the same threads may call it.
class MeasuredStore final : public Store, public prometheus::Collectable {
 public:
  // `store` must outlive this; it writes to `folder`. `reserve_bytes` is only
  // reported: new items are refused while the folder's file system has less
  // space free.
  MeasuredStore(Store& store, std::string folder, uint64_t reserve_bytes);

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

  // Any thread. Leaves out values that the file system does not report.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  absl::Status Measure(absl::FunctionRef<absl::Status()> write, size_t& bytes,
                       Durability durability);

  Store& store_;
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

#endif  // HEAPSYNC_SERVER_OBSERVE_MEASURED_STORE_H_
