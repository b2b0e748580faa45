#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ATTEMPT_TABLES_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ATTEMPT_TABLES_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "heap_adapter/spool/records.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// History ranges are split at this size, which bounds the search for one item.
inline constexpr uint64_t kMaxHistoryRange = 1'000;

// The attempts, with what each of them takes from limits and the plans of those
// that carry several updates as one. Reads: any thread. Errors are those of the
// store, and kDataLoss for a damaged record.
class AttemptTables {
 public:
  // `store` must outlive it.
  explicit AttemptTables(const Store& store) : store_(store) {}

  // Attempts that carried item `seq`, or any of `first` to `last`, oldest
  // first.
  using Attempts = std::vector<std::pair<AttemptId, AttemptRecord>>;
  absl::StatusOr<Attempts> FindAttempts(LaneId lane, Seq seq) const {
    return FindAttempts(lane, seq, seq);
  }
  absl::StatusOr<Attempts> FindAttempts(LaneId lane, Seq first, Seq last) const;
  // Visits attempts with id >= `from`, oldest first, until `visit` returns
  // false.
  absl::Status VisitAttempts(
      AttemptId from,
      absl::FunctionRef<bool(AttemptId, const AttemptRecord&)> visit) const;
  absl::StatusOr<std::optional<AttemptRecord>> FindAttempt(AttemptId id) const;
  // The greatest attempt id in use; zero if there is none.
  absl::StatusOr<AttemptId> LastAttempt() const;

  // Visits all plans, oldest first.
  absl::Status VisitPlans(
      absl::FunctionRef<void(AttemptId, const PlanRecord&)> visit) const;

  // Visits all usage records, oldest first.
  absl::Status VisitUsage(
      absl::FunctionRef<void(AttemptId, const UsageRecord&)> visit) const;

 private:
  const Store& store_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ATTEMPT_TABLES_H_
