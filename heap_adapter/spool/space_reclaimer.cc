#include "heap_adapter/spool/space_reclaimer.h"

#include <chrono>
#include <utility>

namespace heapsync {
namespace {

// Interval of the checks. Shorter: items are accepted again sooner, but the
// backlog is rewritten more often.
constexpr std::chrono::seconds kInterval{2};

}  // namespace

SpaceReclaimer::SpaceReclaimer(Store& store, const DiskSpace& disk,
                               std::function<uint64_t()> live_bytes)
    : store_(store),
      disk_(disk),
      live_bytes_(std::move(live_bytes)),
      thread_([this] { Run(); }) {}

SpaceReclaimer::~SpaceReclaimer() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    cancel_ = true;
  }
  stopping_.NotifyOne();
  thread_.join();
}

void SpaceReclaimer::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!stop_) stopping_.WaitFor(mutex_, kInterval);
      if (stop_) return;
      cancel_ = false;
    }
    store_.ReclaimSpace({.nearly_full = disk_.NearlyFull(),
                         .live_bytes = live_bytes_(),
                         .cancel = &cancel_});
  }
}

}  // namespace heapsync
