#ifndef HEAPSYNC_HEAP_ADAPTER_SPOOL_ROOM_KEEPER_H_
#define HEAPSYNC_HEAP_ADAPTER_SPOOL_ROOM_KEEPER_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "heap_adapter/spool/disk_space.h"
#include "heap_adapter/spool/store.h"
#include "heap_adapter/sync/mutex.h"

namespace heapsync {

// While the disk is nearly full, has a store give back the room of what was
// deleted, once in a while, so that new items can be accepted again as soon as
// enough of the old ones are delivered. It has a thread of its own.
class RoomKeeper {
 public:
  // Both must outlive it.
  RoomKeeper(Store& store, const DiskSpace& disk);
  // Waits until its thread has ended, which is soon.
  ~RoomKeeper();

 private:
  void Run();

  Store& store_;
  const DiskSpace& disk_;
  Mutex mutex_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace heapsync

#endif  // HEAPSYNC_HEAP_ADAPTER_SPOOL_ROOM_KEEPER_H_
