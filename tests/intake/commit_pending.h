#ifndef HEAPSYNC_TESTS_INTAKE_COMMIT_PENDING_H_
#define HEAPSYNC_TESTS_INTAKE_COMMIT_PENDING_H_

#include <limits>
#include <utility>

#include "heap_adapter/intake/committer.h"

namespace heapsync {

// Commits everything that waits and notifies everyone, on this thread, or finds
// out whether a full disk has space again. False if nothing waited. Not beside
// Run().
inline bool CommitPending(Committer& committer) {
  Committer::Pending pending;
  {
    MutexLock lock(committer.mutex_);
    if (committer.pending_.empty() && !committer.disk_full()) return false;
    pending = std::exchange(committer.pending_, {});
  }
  if (pending.look.has_value()) {
    committer.notifier_.Notify(committer.FindAppends(*pending.look));
  }
  committer.notifier_.Notify(committer.Commit(std::move(pending)));
  while (committer.notifier_.AnswerSome(std::numeric_limits<size_t>::max())) {
  }
  return true;
}

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_INTAKE_COMMIT_PENDING_H_
