#ifndef HEAPSYNC_HEAP_ADAPTER_SHARING_SETTLEMENT_WATCH_H_
#define HEAPSYNC_HEAP_ADAPTER_SHARING_SETTLEMENT_WATCH_H_

#include <atomic>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "heap_adapter/intake/settlement.h"
#include "heap_adapter/spool/spool.h"

namespace heapsync {

// Waits for the ends of items that another server of a shared spool delivers:
// it looks at what that one stores, which may change. A look costs one
// request for all that is waited for, and another one for what has ended.
class SettlementWatch {
 public:
  // Appends that may be waited for at once. Larger: more calls can wait, each
  // for some 100 bytes and a glance at each look.
  static constexpr size_t kMaxWaits = 50'000;

  // `spool` must outlive this.
  explicit SettlementWatch(const Spool& spool) : spool_(spool) {}

  // Any thread. False: what comes now should be refused.
  bool HasRoom() const { return size_ < kMaxWaits; }
  bool empty() const { return size_ == 0; }
  // Calls `callback` once all of `items`, which are stored, were delivered or
  // dead-lettered, and that is stored. Items that were dead letters count as
  // such, whatever a person did with them since. Any thread.
  void Wait(LaneId lane, SeqRange items, SettledCallback callback);

  // Looks once, and calls the callbacks of what has ended. What cannot be read
  // waits for the next look. One thread.
  void Look(MonotonicTime now);

  // Nobody looks any more: every callback hears that it is abandoned, and later
  // ones at once. After the last Look().
  void Abandon();

 private:
  struct Waiting {
    Spool::LaneItems items;
    SettledCallback callback;
    // Items whose end does not show in the progress of their lane, since they
    // are deferred or travel inside others, are looked at ever less often.
    MonotonicTime next_look;
    Duration pause{};
  };
  using Progress = absl::flat_hash_map<LaneId, LaneProgress>;

  // None: not all have ended.
  absl::StatusOr<std::optional<Settlement>> EndOf(
      const Waiting& waiting, const StoredFate& fate,
      const Progress& progress) const;
  absl::StatusOr<std::optional<Settlement>> EndOfEach(
      const Spool::LaneItems& items, const Progress& progress) const;

  const Spool& spool_;
  std::atomic<size_t> size_{0};
  std::vector<Waiting> waiting_;  // of the thread that looks
  Mutex mutex_;
  std::vector<Waiting> added_ ABSL_GUARDED_BY(mutex_);
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SHARING_SETTLEMENT_WATCH_H_
