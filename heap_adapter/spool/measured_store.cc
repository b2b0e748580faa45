#include "heap_adapter/spool/measured_store.h"

#include "base/clock.h"

namespace heapsync {

// `bytes` is read after `write` has returned.
absl::Status MeasuredStore::Measure(absl::FunctionRef<absl::Status()> write,
                                    size_t& bytes, Durability durability) {
  const MonotonicTime began = SystemClock().Read().monotonic;
  absl::Status status = write();
  sink_({.took = SystemClock().Read().monotonic - began,
         .bytes = bytes,
         .synced = durability == Durability::kDisk,
         .ok = status.ok()});
  return status;
}

absl::Status MeasuredStore::Write(const StoreBatch& batch,
                                  Durability durability) {
  size_t bytes = batch.bytes();
  return Measure([&] { return store_.Write(batch, durability); }, bytes,
                 durability);
}

absl::Status MeasuredStore::Update(const std::vector<std::string>& keys,
                                   BatchMaker make, Durability durability) {
  size_t bytes = 0;
  return Measure(
      [&] {
        return store_.Update(
            keys,
            [&](const std::vector<std::optional<std::string>>& values) {
              StoreBatch batch = make(values);
              bytes = batch.bytes();
              return batch;
            },
            durability);
      },
      bytes, durability);
}

}  // namespace heapsync
