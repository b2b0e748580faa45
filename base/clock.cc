#include "base/clock.h"

#include <fstream>
#include <functional>
#include <random>
#include <string>

namespace heapsync {
namespace {

// Linux generates a random id at each boot (random(4), boot_id), when its
// monotonic clock starts. If it cannot be read, every process has its own
// epoch.
uint64_t ReadEpoch() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (std::getline(file, id)) return std::hash<std::string>()(id);
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

class MachineClock final : public Clock {
 public:
  Now Read() const override {
    return {.wall = std::chrono::time_point_cast<Duration>(
                std::chrono::system_clock::now()),
            .monotonic = std::chrono::time_point_cast<Duration>(
                std::chrono::steady_clock::now())};
  }
  uint64_t Epoch() const override { return epoch_; }

 private:
  const uint64_t epoch_ = ReadEpoch();
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace heapsync
