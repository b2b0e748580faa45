#include "heap_adapter/delivery/attempt_history.h"

#include <algorithm>
#include <chrono>

namespace heapsync {
namespace {

// Attempts are pruned in steps of this many.
constexpr uint64_t kPruneStep = 8;

// The longest window of a limit.
constexpr Duration kUsageKept = std::chrono::seconds(60);

}  // namespace

absl::Status AttemptHistory::Recover() {
  const absl::StatusOr<AttemptId> last = spool_.attempts().LastAttempt();
  if (!last.ok()) return last.status();
  last_ = *last;
  return spool_.attempts().VisitAttempts(
      0, [this](AttemptId id, const AttemptRecord&) {
        if (kept_++ == 0) oldest_kept_ = id;
        return true;
      });
}

AttemptId AttemptHistory::NextId(WallTime now) {
  last_ = std::max<AttemptId>(
      last_ + 1, static_cast<AttemptId>(now.time_since_epoch().count()));
  return last_;
}

void AttemptHistory::Add(AttemptId id, const AttemptRecord& record,
                         SpoolChange& change) {
  change.PutAttempt(id, record);
  if (kept_++ == 0) oldest_kept_ = id;
}

void AttemptHistory::EndUsage(AttemptId id, MonotonicTime ended) {
  usage_.emplace_back(ended, id);
}

void AttemptHistory::Prune(MonotonicTime now, SpoolChange& change) {
  while (!usage_.empty() && usage_.front().first + kUsageKept <= now) {
    change.DeleteUsage(usage_.front().second);
    usage_.pop_front();
  }
  if (kept_ < max_kept_ + kPruneStep) return;
  uint64_t forgotten = 0;
  const absl::Status status = spool_.attempts().VisitAttempts(
      oldest_kept_, [&](AttemptId id, const AttemptRecord& record) {
        oldest_kept_ = id;
        if (forgotten == kPruneStep) return false;
        change.DeleteAttempt(id, record);
        ++forgotten;
        return true;
      });
  // A record that cannot be read is not worth stopping deliveries for; it
  // stays.
  if (status.ok()) kept_ -= forgotten;
}

}  // namespace heapsync
