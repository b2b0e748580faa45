#include "heap_adapter/spool/room_keeper.h"

#include <chrono>

namespace heapsync {
namespace {

// How often it looks. More often: acceptance returns sooner, but what waits is
// rewritten more often.
constexpr std::chrono::seconds kInterval{2};

}  // namespace

RoomKeeper::RoomKeeper(Store& store, const DiskSpace& disk)
    : store_(store), disk_(disk), thread_([this] { Run(); }) {}

RoomKeeper::~RoomKeeper() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_.NotifyOne();
  thread_.join();
}

void RoomKeeper::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!stopping_) stop_.WaitFor(mutex_, kInterval);
      if (stopping_) return;
    }
    if (disk_.NearlyFull()) store_.GiveBackRoom();
  }
}

}  // namespace heapsync
