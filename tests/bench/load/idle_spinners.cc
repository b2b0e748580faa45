#include "tests/bench/load/idle_spinners.h"

#include <pthread.h>
#include <sched.h>

namespace heapsync::bench {

IdleSpinners::IdleSpinners(bool wanted) {
  if (!wanted) return;
  for (unsigned core = 0; core < std::thread::hardware_concurrency(); ++core) {
    threads_.emplace_back([this, core] {
      cpu_set_t cores;
      CPU_ZERO(&cores);
      CPU_SET(core, &cores);
      const sched_param lowest{};
      pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores);
      // Spinning at an ordinary priority would falsify everything.
      if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &lowest) != 0) {
        return;
      }
      while (!over_.load(std::memory_order_relaxed)) {
      }
    });
  }
}

IdleSpinners::~IdleSpinners() {
  over_ = true;
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace heapsync::bench
