#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_DEFERRED_TABLES_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_DEFERRED_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Summary of the deferred items of one identity.
struct DeferredIdentity {
  uint64_t hash = 0;
  uint64_t items = 0;
  Seq first = 0;
  Seq last = 0;
};

// The items that wait apart from their lanes: deferred ones, and of them those
// that are isolated. Reads: any thread. Errors are those of the store, and
// kDataLoss for a damaged record.
class DeferredTables {
 public:
  // `store` must outlive it.
  explicit DeferredTables(const Store& store) : store_(store) {}

  // Deferred items of one identity with sequence >= `from`, in order, at most
  // `limit`. An item whose record is damaged has no text.
  absl::StatusOr<std::vector<DeferredItem>> ReadDeferred(LaneId lane,
                                                         uint64_t identity_hash,
                                                         Seq from,
                                                         size_t limit) const;
  // Item `seq` if it is deferred; without text if its record is damaged.
  absl::StatusOr<std::optional<DeferredItem>> FindDeferred(LaneId lane,
                                                           Seq seq) const;
  // All identities that have deferred items.
  absl::StatusOr<std::vector<DeferredIdentity>> DeferredIdentities(
      LaneId lane) const;

  // Item `seq` if it is isolated.
  absl::StatusOr<std::optional<IsolatedItem>> FindIsolated(LaneId lane,
                                                           Seq seq) const;
  // The isolated items of a lane, in order. One whose record is damaged is left
  // out: it is a deferred item like others then.
  absl::StatusOr<std::vector<IsolatedItem>> IsolatedItems(LaneId lane) const;

 private:
  const Store& store_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_DEFERRED_TABLES_H_
