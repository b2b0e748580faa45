#include "heap_adapter/delivery/deferred_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

constexpr uint64_t kAda = 11;
constexpr uint64_t kBob = 22;

TEST(DeferredItemsTest, IdentitiesFromTheSpoolMayAllGo) {
  DeferredItems items({{.hash = kAda, .items = 2, .first = 5, .last = 9},
                       {.hash = kBob, .items = 1, .first = 7, .last = 7}});
  EXPECT_EQ(items.items(), 3);
  EXPECT_THAT(items.FirstReady(), Optional(kAda));
  EXPECT_EQ(items.NextOf(kAda), 5);
  EXPECT_EQ(items.LastOf(kAda), 9);
  items.PopReady();
  EXPECT_THAT(items.FirstReady(), Optional(kBob));
}

TEST(DeferredItemsTest, ANewItemWaitsUntilItsIdentityIsFreed) {
  DeferredItems items({});
  items.Add(kAda, 3);
  EXPECT_TRUE(items.Waits(kAda));
  EXPECT_FALSE(items.HasReady());
  items.MakeReady(kAda);
  EXPECT_THAT(items.FirstReady(), Optional(kAda));
}

TEST(DeferredItemsTest, AnIdentityStandsInLineOnce) {
  DeferredItems items({});
  items.Add(kAda, 3);
  items.MakeReady(kAda);
  items.MakeReady(kAda);
  items.PopReady();
  EXPECT_FALSE(items.HasReady());
}

TEST(DeferredItemsTest, AnIdentityWithoutWaitingItemsStandsInNoLine) {
  DeferredItems items({});
  items.MakeReady(kAda);
  EXPECT_FALSE(items.HasReady());
}

TEST(DeferredItemsTest, AnItemInFlightCountsUntilItEnds) {
  DeferredItems items({});
  items.Add(kAda, 3);
  items.MakeReady(kAda);
  items.Pass(kAda, 3, DeferredItems::Passed::kTaken);
  EXPECT_FALSE(items.Waits(kAda));
  EXPECT_TRUE(items.InFlightOf(kAda).Contains(3));
  EXPECT_EQ(items.items(), 1);
  EXPECT_FALSE(items.TakeEnded());
  items.End(kAda, 3);
  EXPECT_EQ(items.items(), 0);
  EXPECT_TRUE(items.TakeEnded());
  EXPECT_FALSE(items.TakeEnded());
}

TEST(DeferredItemsTest, AnItemPutBackWaitsInItsOldPlace) {
  DeferredItems items({});
  items.Add(kAda, 3);
  items.Add(kAda, 8);
  items.Pass(kAda, 3, DeferredItems::Passed::kTaken);
  EXPECT_EQ(items.NextOf(kAda), 4);
  items.PutBack(kAda, 3);
  EXPECT_EQ(items.items(), 2);
  EXPECT_EQ(items.NextOf(kAda), 3);
  EXPECT_EQ(items.LastOf(kAda), 8);
  EXPECT_FALSE(items.InFlightOf(kAda).Contains(3));
}

TEST(DeferredItemsTest, AnItemOfAStoredPlanIsClaimedWithoutATurn) {
  DeferredItems items({{.hash = kAda, .items = 1, .first = 5, .last = 5}});
  EXPECT_TRUE(items.Claim(kAda, 5));
  EXPECT_FALSE(items.Waits(kAda));
  EXPECT_FALSE(items.Claim(kBob, 6));
}

TEST(DeferredItemsTest, AnIdentityWhoseItemsEndedIsForgotten) {
  DeferredItems items({{.hash = kAda, .items = 1, .first = 5, .last = 5}});
  items.Pass(kAda, 5, DeferredItems::Passed::kTaken);
  EXPECT_THAT(items.SomeIdentities(10, [](Seq) { return false; }),
              ElementsAre(kAda));
  items.PopReady();
  items.End(kAda, 5);
  EXPECT_THAT(items.SomeIdentities(10, [](Seq) { return false; }),
              ElementsAre());
}

TEST(DeferredItemsTest, ItemsThatTheSpoolLacksAreNotWaitedFor) {
  DeferredItems items({{.hash = kAda, .items = 4, .first = 5, .last = 9}});
  items.ForgetWaiting(kAda);
  EXPECT_EQ(items.items(), 0);
  EXPECT_FALSE(items.Waits(kAda));
}

}  // namespace
}  // namespace heapsync
