#ifndef HEAPSYNC_TESTS_BENCH_LOAD_IDLE_SPINNERS_H_
#define HEAPSYNC_TESTS_BENCH_LOAD_IDLE_SPINNERS_H_

#include <atomic>
#include <thread>
#include <vector>

namespace heapsync::bench {

// Keeps every core busy with a thread that gives way to any other. On some
// virtual machines a core that sleeps hears of a finished sync only with the
// next timer tick, four milliseconds later; a core that is awake hears at once.
// Without this such a machine measures its timer.
class IdleSpinners {
 public:
  explicit IdleSpinners(bool wanted);
  ~IdleSpinners();
  IdleSpinners(const IdleSpinners&) = delete;
  IdleSpinners& operator=(const IdleSpinners&) = delete;

 private:
  std::atomic<bool> over_{false};
  std::vector<std::thread> threads_;
};

}  // namespace heapsync::bench

#endif  // HEAPSYNC_TESTS_BENCH_LOAD_IDLE_SPINNERS_H_
