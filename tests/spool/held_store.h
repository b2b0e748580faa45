#ifndef HEAPSYNC_TESTS_SPOOL_HELD_STORE_H_
#define HEAPSYNC_TESTS_SPOOL_HELD_STORE_H_

#include "base/mutex.h"
#include "tests/spool/forwarding_store.h"

namespace heapsync {

// A store whose writes wait while they are held.
class HeldStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  void Hold() {
    MutexLock lock(mutex_);
    held_ = true;
  }
  void Release() {
    MutexLock lock(mutex_);
    held_ = false;
    changed_.NotifyAll();
  }

  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    {
      MutexLock lock(mutex_);
      while (held_) changed_.Wait(mutex_);
    }
    return ForwardingStore::Write(batch, durability);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace heapsync

#endif  // HEAPSYNC_TESTS_SPOOL_HELD_STORE_H_
