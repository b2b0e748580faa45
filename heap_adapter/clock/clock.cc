#include "heap_adapter/clock/clock.h"

namespace heapsync {
namespace {

class MachineClock final : public Clock {
 public:
  Now Read() const override {
    return {.wall = std::chrono::time_point_cast<Duration>(
                std::chrono::system_clock::now()),
            .monotonic = std::chrono::time_point_cast<Duration>(
                std::chrono::steady_clock::now())};
  }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace heapsync
