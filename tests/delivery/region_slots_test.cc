#include "heap_adapter/delivery/region_slots.h"

#include <cstdint>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr MonotonicTime kNow{std::chrono::seconds(100)};
constexpr MonotonicTime kLater = kNow + std::chrono::seconds(1);
constexpr auto kGetsThrough = RegionSlots::Asking::kGetsThrough;
constexpr auto kFails = RegionSlots::Asking::kFails;
constexpr Endpoint kEvents{.region = Region::kUs,
                           .type = ObjectType::kTrackEvent};
constexpr Endpoint kUsers{.region = Region::kUs,
                          .type = ObjectType::kUserProperties};
constexpr Endpoint kEuEvents{.region = Region::kEu,
                             .type = ObjectType::kTrackEvent};

TEST(RegionSlotsTest, ARegionWithoutSlotsLeavesTheOtherItsOwn) {
  RegionSlots slots(2);
  slots.Take(kEvents);
  EXPECT_FALSE(slots.full(kEvents, kGetsThrough, kNow));
  slots.Take(kUsers);
  EXPECT_TRUE(slots.full(kEvents, kGetsThrough, kNow));
  EXPECT_FALSE(slots.full(kEuEvents, kGetsThrough, kNow));
  slots.GiveBack(kUsers);
  EXPECT_FALSE(slots.full(kEvents, kGetsThrough, kNow));
}

TEST(RegionSlotsTest, LanesWaitInLineUntilTheirRegionHasASlot) {
  RegionSlots slots(1);
  slots.Take(kEuEvents);
  slots.Wait(kEuEvents, 7);
  slots.Wait({.region = Region::kEu, .type = ObjectType::kUserProperties}, 3);
  slots.Wait(kEuEvents, 5);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), std::nullopt);
  slots.GiveBack(kEuEvents);
  EXPECT_EQ(slots.Offer(Region::kUs, kNow), std::nullopt);
  // What is offered is not taken.
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), 7);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), 3);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), 5);
  EXPECT_EQ(slots.Offer(Region::kEu, kNow), std::nullopt);
}

class FailingRegionTest : public ::testing::Test {
 protected:
  static const DestinationQueue* Queue(uintptr_t id) {
    return reinterpret_cast<const DestinationQueue*>(id);
  }
  void Fail(uintptr_t destination, int times = 1, Endpoint endpoint = kEvents) {
    for (int i = 0; i < times; ++i) {
      slots_.OnFailure(endpoint, Queue(destination), next_batch_++, kLater);
    }
  }

  RegionSlots slots_{8};
  uint64_t next_batch_ = 1;
};

TEST_F(FailingRegionTest, OneDestinationThatFailsLeavesTheRegionToTheOthers) {
  Fail(8, 10);
  EXPECT_TRUE(slots_.silent(kEvents));
  EXPECT_FALSE(slots_.full(kEvents, kGetsThrough, kNow));
  // Its own lanes share the probes.
  EXPECT_TRUE(slots_.full(kEvents, kFails, kNow));
  EXPECT_FALSE(slots_.full(kEvents, kFails, kLater));
  slots_.Wait(kEvents, 5);
  EXPECT_EQ(slots_.NextProbe(), kLater);
  EXPECT_EQ(slots_.Offer(Region::kUs, kNow), std::nullopt);
  EXPECT_EQ(slots_.Offer(Region::kUs, kLater), 5);
}

TEST_F(FailingRegionTest, SeveralThatFailShareOneRequestAtATime) {
  Fail(8, 2);
  Fail(16);
  slots_.Wait(kEvents, 3);
  EXPECT_TRUE(slots_.full(kEvents, kGetsThrough, kNow));
  EXPECT_FALSE(slots_.full(kEuEvents, kGetsThrough, kNow));
  EXPECT_EQ(slots_.NextProbe(), kLater);
  EXPECT_EQ(slots_.Offer(Region::kUs, kLater), 3);
  slots_.Take(kEvents);
  EXPECT_TRUE(slots_.full(kEvents, kGetsThrough, kLater));
  EXPECT_TRUE(slots_.full(kUsers, kGetsThrough, kLater));
  EXPECT_EQ(slots_.NextProbe(), std::nullopt);
}

TEST_F(FailingRegionTest, ARequestThatHangsKeepsNoOtherFromProbing) {
  Fail(8, 2);
  Fail(16);
  slots_.Take(kEvents);
  EXPECT_TRUE(slots_.full(kUsers, kGetsThrough, kLater));
  slots_.BeginHanging(kEvents, kLater);
  EXPECT_FALSE(slots_.full(kUsers, kGetsThrough, kNow));
  EXPECT_TRUE(slots_.full(kEvents, kGetsThrough, kNow));
  EXPECT_FALSE(slots_.full(kEvents, kGetsThrough, kLater));
}

TEST_F(FailingRegionTest, ABoundedNumberOfItsRequestsHang) {
  RegionSlots slots(100);
  for (uint64_t batch = 1; batch <= 3; ++batch) {
    slots.OnFailure(kEvents, Queue(8), batch, kNow);
  }
  for (int i = 0; i < 12; ++i) {
    EXPECT_FALSE(slots.full(kEvents, kFails, kNow));
    slots.Take(kEvents);
    slots.BeginHanging(kEvents, kNow);
  }
  EXPECT_TRUE(slots.full(kEvents, kFails, kNow));
  EXPECT_FALSE(slots.full(kEvents, kGetsThrough, kNow));
  slots.EndHanging(kEvents);
  slots.GiveBack(kEvents);
  EXPECT_FALSE(slots.full(kEvents, kFails, kNow));
}

TEST_F(FailingRegionTest, ASilenceEndsWhereSomethingGetsThrough) {
  Fail(8, 3);
  const auto of_region = slots_.SilenceOf(kEvents);
  ASSERT_TRUE(of_region.has_value());
  EXPECT_FALSE(slots_.Ended(kEvents, *of_region));
  slots_.OnReached(kUsers);
  EXPECT_TRUE(slots_.Ended(kEvents, *of_region));
  const auto of_endpoint = slots_.SilenceOf(kEvents);
  ASSERT_TRUE(of_endpoint.has_value());
  slots_.OnReached(kUsers);
  EXPECT_FALSE(slots_.Ended(kEvents, *of_endpoint));
  slots_.OnReached(kEvents);
  EXPECT_TRUE(slots_.Ended(kEvents, *of_endpoint));
  EXPECT_FALSE(slots_.SilenceOf(kEvents).has_value());
}

TEST_F(FailingRegionTest, ALaneThatJustFailedProbesAfterThoseThatWait) {
  Fail(8, 3);
  slots_.Wait(kEvents, 5);
  slots_.Wait(kEvents, 6);
  EXPECT_TRUE(slots_.MustWait(kEvents, 4, kFails, kLater));
  EXPECT_FALSE(slots_.MustWait(kEvents, 4, kGetsThrough, kLater));
  EXPECT_EQ(slots_.Offer(Region::kUs, kLater), 5);
  EXPECT_TRUE(slots_.MustWait(kEvents, 4, kFails, kLater));
  EXPECT_FALSE(slots_.MustWait(kEvents, 5, kFails, kLater));
  slots_.Take(kEvents);
  EXPECT_TRUE(slots_.MustWait(kEvents, 5, kFails, kLater));
  EXPECT_EQ(slots_.Offer(Region::kUs, kLater), 6);
  EXPECT_FALSE(slots_.MustWait(kEvents, 6, kFails, kLater));
}

TEST_F(FailingRegionTest, EachEndpointIsProbedAtItsOwnTimes) {
  Fail(8, 2, kUsers);
  Fail(16, 3, kEvents);
  Fail(8, 1, {.region = Region::kUs, .type = ObjectType::kAccountProperties});
  const MonotonicTime much_later = kLater + std::chrono::seconds(1);
  slots_.OnFailure(kEvents, Queue(16), next_batch_++, much_later);
  slots_.Wait(kEvents, 1);
  slots_.Wait(kUsers, 2);
  EXPECT_EQ(slots_.Offer(Region::kUs, kLater), 2);
  EXPECT_EQ(slots_.Offer(Region::kUs, kLater), std::nullopt);
  EXPECT_EQ(slots_.NextProbe(), much_later);
}

TEST_F(FailingRegionTest, AFailureBringsNoProbeForward) {
  Fail(8, 3, kEvents);
  Fail(16, 1, kEvents);
  slots_.OnFailure(kEvents, Queue(16), next_batch_++, kNow);
  EXPECT_TRUE(slots_.full(kEvents, kFails, kNow));
  EXPECT_FALSE(slots_.full(kEvents, kFails, kLater));
}

TEST_F(FailingRegionTest, AnEndpointMayFailWhileTheOthersOfItsRegionWork) {
  for (uintptr_t destination : {8, 16, 8}) {
    Fail(destination);
    slots_.OnReached(kUsers);
  }
  EXPECT_TRUE(slots_.silent(kEvents));
  EXPECT_TRUE(slots_.full(kEvents, kGetsThrough, kNow));
  EXPECT_FALSE(slots_.silent(kUsers));
  EXPECT_FALSE(slots_.full(kUsers, kGetsThrough, kNow));
  slots_.Take(kUsers);
  EXPECT_FALSE(slots_.full(kEvents, kGetsThrough, kLater));
  slots_.Take(kEvents);
  EXPECT_TRUE(slots_.full(kEvents, kGetsThrough, kLater));
  EXPECT_THAT(slots_.OnReached(kEvents), ElementsAre(kEvents.type));
  EXPECT_FALSE(slots_.silent(kEvents));
}

TEST_F(FailingRegionTest, OneBatchThatFailsSaysNothingOfItsEndpoint) {
  for (int i = 0; i < 10; ++i) {
    slots_.OnFailure(kEvents, Queue(8), 99, kLater);
    slots_.OnReached(kUsers);
  }
  EXPECT_FALSE(slots_.silent(kEvents));
  EXPECT_THAT(slots_.OnReached(kEvents), IsEmpty());
}

TEST_F(FailingRegionTest, ARequestThatGetsThroughEndsIt) {
  EXPECT_THAT(slots_.OnReached(kEvents), IsEmpty());
  Fail(8, 3);
  Fail(16, 3);
  Fail(8, 3, kUsers);
  EXPECT_THAT(slots_.OnReached(kEvents), ElementsAreArray(kObjectTypes));
  EXPECT_FALSE(slots_.silent(kEvents));
  EXPECT_FALSE(slots_.full(kEvents, kGetsThrough, kNow));
  EXPECT_THAT(slots_.OnReached(kEvents), IsEmpty());
  // The others may be probed at once.
  EXPECT_TRUE(slots_.silent(kUsers));
  EXPECT_FALSE(slots_.full(kUsers, kFails, kNow));
}

}  // namespace
}  // namespace heapsync
