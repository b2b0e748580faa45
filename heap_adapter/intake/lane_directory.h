#ifndef HEAPSYNC_HEAP_ADAPTER_INTAKE_LANE_DIRECTORY_H_
#define HEAPSYNC_HEAP_ADAPTER_INTAKE_LANE_DIRECTORY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "heap_adapter/model/object_type.h"
#include "heap_adapter/spool/records.h"

namespace heapsync {

// Which lanes there are, and whose items go to which. Lanes only ever come:
// receipts name them. Any thread.
class LaneDirectory {
 public:
  struct Bounds {
    // Callers of one destination with a lane of their own. The others share
    // one. Larger: fairness between more callers, more turns to be taken.
    size_t callers_per_destination = 32;
    // Over all destinations, since each lane costs some memory permanently.
    size_t caller_lanes = 4'096;
    // Several servers add lanes: numbers follow from the keys then, so that all
    // give a lane the same one, unless it is taken.
    bool shared = false;
  };

  explicit LaneDirectory(const Bounds& bounds) : bounds_(bounds) {}

  // A lane that the spool holds. Has no effect if it is known.
  void Add(LaneId id, const LaneKey& key);

  struct Found {
    LaneId id = 0;
    // Only who asked knows of it so far: it must be made known where lanes are
    // used, then published.
    bool is_new = false;
  };
  // The lane for a caller's items. A caller with a name has one of its own
  // while the bounds allow, if TypePolicy::lane_per_caller says so.
  Found FindOrAdd(absl::string_view destination, ObjectType type,
                  absl::string_view caller);
  // Until this is called, others are given the shared lane instead of a new
  // one. REQUIRES: a new lane that FindOrAdd() gave to this thread.
  void Publish(LaneId lane);

  std::optional<LaneKey> KeyOf(LaneId lane) const;
  // All lanes, by id.
  std::vector<std::pair<LaneId, LaneKey>> All() const;

 private:
  void AddLocked(LaneId id, const LaneKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  LaneId NewIdLocked(const LaneKey& key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Bounds bounds_;
  mutable Mutex mutex_;
  absl::flat_hash_map<LaneKey, LaneId> ids_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<LaneId, LaneKey> keys_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<LaneId> unpublished_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, size_t> callers_ ABSL_GUARDED_BY(mutex_);
  size_t caller_lanes_ ABSL_GUARDED_BY(mutex_) = 0;
  LaneId next_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_INTAKE_LANE_DIRECTORY_H_
