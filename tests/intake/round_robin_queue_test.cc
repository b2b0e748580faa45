#include "heap_adapter/intake/round_robin_queue.h"

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

std::vector<int> TakeAll(RoundRobinQueue<int>& turns) {
  std::vector<int> taken;
  while (!turns.empty()) taken.push_back(turns.Next());
  return taken;
}

TEST(RoundRobinQueueTest, LanesTakeTurnsAndKeepTheirOrder) {
  RoundRobinQueue<int> turns;
  for (const int entry : {10, 11, 12, 13}) turns.Add(1, entry);
  for (const int entry : {20, 21}) turns.Add(2, entry);
  turns.Add(3, 30);
  EXPECT_THAT(TakeAll(turns), ElementsAre(10, 20, 30, 11, 21, 12, 13));
}

TEST(RoundRobinQueueTest, WhoComesLaterHasOneTurnOfEachToWaitFor) {
  RoundRobinQueue<int> turns;
  for (const int entry : {10, 11, 12, 13}) turns.Add(1, entry);
  EXPECT_EQ(turns.Next(), 10);
  turns.Add(2, 20);
  turns.Add(1, 14);
  EXPECT_THAT(TakeAll(turns), ElementsAre(11, 20, 12, 13, 14));
}

TEST(RoundRobinQueueTest, PlacesAreUsedAgainWithoutMixingLanes) {
  RoundRobinQueue<std::unique_ptr<int>> turns;
  for (int round = 0; round < 100; ++round) {
    for (LaneId lane = 0; lane < 5; ++lane) {
      for (int i = 0; i <= round % 3; ++i) {
        turns.Add(lane, std::make_unique<int>(static_cast<int>(lane) * 10 + i));
      }
    }
    for (int i = 0; i <= round % 3; ++i) {
      for (int lane = 0; lane < 5; ++lane) {
        ASSERT_EQ(*turns.Next(), lane * 10 + i);
      }
    }
    ASSERT_TRUE(turns.empty());
  }
}

}  // namespace
}  // namespace heapsync
