#include "heap_adapter/delivery/region_slots.h"

#include "gtest/gtest.h"

namespace heapsync {
namespace {

TEST(RegionSlotsTest, ARegionWithoutSlotsLeavesTheOtherItsOwn) {
  RegionSlots slots(2);
  slots.Take(Region::kUs);
  EXPECT_FALSE(slots.full(Region::kUs));
  slots.Take(Region::kUs);
  EXPECT_TRUE(slots.full(Region::kUs));
  EXPECT_FALSE(slots.full(Region::kEu));
  slots.GiveBack(Region::kUs);
  EXPECT_FALSE(slots.full(Region::kUs));
}

TEST(RegionSlotsTest, LanesWaitInLineUntilTheirRegionHasASlot) {
  RegionSlots slots(1);
  slots.Take(Region::kEu);
  slots.Wait(Region::kEu, 7);
  slots.Wait(Region::kEu, 3);
  EXPECT_EQ(slots.Offer(Region::kEu), std::nullopt);
  slots.GiveBack(Region::kEu);
  EXPECT_EQ(slots.Offer(Region::kUs), std::nullopt);
  // What is offered is not taken.
  EXPECT_EQ(slots.Offer(Region::kEu), 7);
  EXPECT_EQ(slots.Offer(Region::kEu), 3);
  EXPECT_EQ(slots.Offer(Region::kEu), std::nullopt);
}

}  // namespace
}  // namespace heapsync
