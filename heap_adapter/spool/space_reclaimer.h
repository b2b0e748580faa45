#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SPACE_RECLAIMER_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SPACE_RECLAIMER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "heap_adapter/base/mutex.h"
#include "heap_adapter/spool/disk_space.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// While the disk is nearly full, has a store give back the space of what was
// deleted, so that new items can be accepted again once enough of the old ones
// are delivered. It has a thread of its own.
class SpaceReclaimer {
 public:
  // Both must outlive it. `live_bytes` tells about how much is not deleted;
  // it is called by its thread.
  SpaceReclaimer(Store& store, const DiskSpace& disk,
                 std::function<uint64_t()> live_bytes);
  // Waits until its thread has ended, which is soon.
  ~SpaceReclaimer();

 private:
  void Run();

  Store& store_;
  const DiskSpace& disk_;
  const std::function<uint64_t()> live_bytes_;
  Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> cancel_{false};  // what the store does now
  CondVar stopping_;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SPACE_RECLAIMER_H_
