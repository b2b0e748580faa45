#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_SPACE_RECLAIMER_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_SPACE_RECLAIMER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "base/mutex.h"
#include "heap_adapter/spool/disk_space.h"
#include "heap_adapter/spool/store.h"

namespace heapsync {

// Makes a store reclaim the space of deleted entries while the disk is nearly
// full, so that new items can be accepted again once enough old ones are
// delivered. Runs on a thread of its own.
class SpaceReclaimer {
 public:
  // `store` and `disk` must outlive this. `live_bytes` returns the approximate
  // size of the entries that are not deleted; it is called on the own thread.
  SpaceReclaimer(Store& store, const DiskSpace& disk,
                 std::function<uint64_t()> live_bytes);
  // Cancels the store's current work and joins the thread.
  ~SpaceReclaimer();

 private:
  void Run();

  Store& store_;
  const DiskSpace& disk_;
  const std::function<uint64_t()> live_bytes_;
  Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> cancel_{false};  // ends the store's current work
  CondVar stopping_;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_SPACE_RECLAIMER_H_
