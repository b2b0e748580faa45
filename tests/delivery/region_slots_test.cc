#include "heap_adapter/delivery/region_slots.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

constexpr MonotonicTime kNow{std::chrono::seconds(100)};
constexpr auto kGetsThrough = RegionSlots::Asking::kGetsThrough;
constexpr auto kFails = RegionSlots::Asking::kFails;

TEST(RegionSlotsTest, ARegionWithoutSlotsLeavesTheOtherItsOwn) {
  RegionSlots slots(2);
  slots.Take(Region::kUs);
  EXPECT_FALSE(slots.full(Region::kUs, kGetsThrough, kNow));
  slots.Take(Region::kUs);
  EXPECT_TRUE(slots.full(Region::kUs, kGetsThrough, kNow));
  EXPECT_FALSE(slots.full(Region::kEu, kGetsThrough, kNow));
  slots.GiveBack(Region::kUs);
  EXPECT_FALSE(slots.full(Region::kUs, kGetsThrough, kNow));
}

TEST(RegionSlotsTest, LanesWaitInLineUntilTheirRegionHasASlot) {
  RegionSlots slots(1);
  slots.Take(Region::kEu);
  slots.Wait(Region::kEu, 7);
  slots.Wait(Region::kEu, 3);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), std::nullopt);
  slots.GiveBack(Region::kEu);
  EXPECT_EQ(slots.Offer(Region::kUs, kNow), std::nullopt);
  // What is offered is not taken.
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), 7);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), 3);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), std::nullopt);
}

class FailingRegionTest : public ::testing::Test {
 protected:
  static const DestinationQueue* Queue(uintptr_t id) {
    return reinterpret_cast<const DestinationQueue*>(id);
  }
  void Fail(uintptr_t destination, int times = 1) {
    for (int i = 0; i < times; ++i) {
      slots_.OnFailure(Region::kUs, Queue(destination),
                       kNow + std::chrono::seconds(1));
    }
  }

  RegionSlots slots_{8};
};

TEST_F(FailingRegionTest, OneDestinationThatFailsLeavesTheRegionToTheOthers) {
  Fail(8, 10);
  EXPECT_TRUE(slots_.silent(Region::kUs));
  EXPECT_FALSE(slots_.full(Region::kUs, kGetsThrough, kNow));
  // Its own lanes share the probes.
  EXPECT_TRUE(slots_.full(Region::kUs, kFails, kNow));
  EXPECT_FALSE(
      slots_.full(Region::kUs, kFails, kNow + std::chrono::seconds(1)));
  slots_.Wait(Region::kUs, 5);
  EXPECT_EQ(slots_.NextProbe(), kNow + std::chrono::seconds(1));
  EXPECT_EQ(slots_.Offer(Region::kUs, kNow), std::nullopt);
  EXPECT_EQ(slots_.Offer(Region::kUs, kNow + std::chrono::seconds(1)), 5);
}

TEST_F(FailingRegionTest, SeveralThatFailShareOneRequestAtATime) {
  Fail(8, 2);
  Fail(16);
  slots_.Wait(Region::kUs, 3);
  EXPECT_TRUE(slots_.full(Region::kUs, kGetsThrough, kNow));
  EXPECT_FALSE(slots_.full(Region::kEu, kGetsThrough, kNow));
  EXPECT_EQ(slots_.NextProbe(), kNow + std::chrono::seconds(1));
  const MonotonicTime later = kNow + std::chrono::seconds(1);
  EXPECT_EQ(slots_.Offer(Region::kUs, later), 3);
  slots_.Take(Region::kUs);
  EXPECT_TRUE(slots_.full(Region::kUs, kGetsThrough, later));
  EXPECT_EQ(slots_.NextProbe(), std::nullopt);
}

TEST_F(FailingRegionTest, ARequestThatGetsThroughEndsIt) {
  EXPECT_FALSE(slots_.OnReached(Region::kUs));
  Fail(8, 3);
  Fail(16, 3);
  EXPECT_TRUE(slots_.OnReached(Region::kUs));
  EXPECT_FALSE(slots_.silent(Region::kUs));
  EXPECT_FALSE(slots_.full(Region::kUs, kGetsThrough, kNow));
  EXPECT_FALSE(slots_.OnReached(Region::kUs));
}

}  // namespace
}  // namespace heapsync
