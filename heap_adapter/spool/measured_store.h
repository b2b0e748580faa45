#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_MEASURED_STORE_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_MEASURED_STORE_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// A write to a store.
struct StoreWrite {
  std::chrono::nanoseconds took{};
  size_t bytes = 0;  // of keys and values
  bool synced = false;
  bool ok = true;
};

// A decorator that measures the writes of another store. Behaves like `store`;
// the same threads may call it.
class MeasuredStore final : public Store {
 public:
  using Sink = std::function<void(const StoreWrite&)>;

  // `store` must outlive this. `sink` is called by the thread that wrote.
  MeasuredStore(Store& store, Sink sink)
      : store_(store), sink_(std::move(sink)) {}

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
  const Sink sink_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_MEASURED_STORE_H_
