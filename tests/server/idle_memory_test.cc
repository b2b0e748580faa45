#include "server/log/idle_memory.h"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t whole = 0;
  int64_t resident = 0;
  file >> whole >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

using Piece = std::vector<char>;
constexpr size_t kPiece = 16 << 10;
constexpr int64_t kBurst = 128 << 20;

std::vector<std::unique_ptr<Piece>> Burst() {
  std::vector<std::unique_ptr<Piece>> pieces;
  for (int64_t bytes = 0; bytes < kBurst; bytes += kPiece) {
    pieces.push_back(std::make_unique<Piece>(kPiece, 'x'));
  }
  return pieces;
}

class IdleMemoryTest : public testing::Test {
 protected:
  void Later() {
    now_ += std::chrono::seconds(10);
    idle_memory_.Tick(now_);
  }

  MonotonicTime now_;
  IdleMemory idle_memory_;
};

TEST_F(IdleMemoryTest, GivesBackWhatABurstNeeded) {
  auto pieces = Burst();
  // The last one keeps the others from the top of the heap.
  const std::unique_ptr<Piece> last = std::move(pieces.back());
  Later();
  const int64_t full = ResidentBytes();
  pieces.clear();
  Later();
  EXPECT_GT(ResidentBytes(), full - kBurst / 8) << "kept for the next burst";
  Later();
  EXPECT_LT(ResidentBytes(), full - kBurst / 8 * 7);
  EXPECT_EQ(last->front(), 'x');
}

TEST_F(IdleMemoryTest, LeavesAloneWhatIsUsed) {
  const auto pieces = Burst();
  for (int i = 0; i < 3; ++i) Later();
  const int64_t full = ResidentBytes();
  for (int i = 0; i < 3; ++i) Later();
  EXPECT_GT(ResidentBytes(), full - kBurst / 8);
  for (const auto& piece : pieces) ASSERT_EQ(piece->back(), 'x');
}

}  // namespace
}  // namespace heapsync
