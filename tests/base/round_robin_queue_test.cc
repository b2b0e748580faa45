#include "base/round_robin_queue.h"

#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;

std::vector<int> TakeAll(RoundRobinQueue<int, int>& turns) {
  std::vector<int> taken;
  while (!turns.empty()) taken.push_back(turns.Next());
  return taken;
}

TEST(RoundRobinQueueTest, OwnersTakeTurnsAndKeepTheirOrder) {
  RoundRobinQueue<int, int> turns;
  for (const int entry : {10, 11, 12, 13}) turns.Add(1, entry);
  for (const int entry : {20, 21}) turns.Add(2, entry);
  turns.Add(3, 30);
  EXPECT_THAT(TakeAll(turns), ElementsAre(10, 20, 30, 11, 21, 12, 13));
}

TEST(RoundRobinQueueTest, WhoComesLaterHasOneTurnOfEachToWaitFor) {
  RoundRobinQueue<int, int> turns;
  for (const int entry : {10, 11, 12, 13}) turns.Add(1, entry);
  EXPECT_EQ(turns.Next(), 10);
  turns.Add(2, 20);
  turns.Add(1, 14);
  EXPECT_THAT(TakeAll(turns), ElementsAre(11, 20, 12, 13, 14));
}

TEST(RoundRobinQueueTest, PlacesAreUsedAgainWithoutMixingOwners) {
  RoundRobinQueue<int, std::unique_ptr<int>> turns;
  for (int round = 0; round < 100; ++round) {
    for (int owner = 0; owner < 5; ++owner) {
      for (int i = 0; i <= round % 3; ++i) {
        turns.Add(owner, std::make_unique<int>(owner * 10 + i));
      }
    }
    for (int i = 0; i <= round % 3; ++i) {
      for (int owner = 0; owner < 5; ++owner) {
        ASSERT_EQ(*turns.Next(), owner * 10 + i);
      }
    }
    ASSERT_TRUE(turns.empty());
  }
}

}  // namespace
}  // namespace heapsync
