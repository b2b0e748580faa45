#include "heap_adapter/scheduling/drain_forecast.h"

#include <chrono>
#include <optional>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using std::chrono::seconds;

constexpr LimitUse kHundredAMinute = {.window = seconds(60), .total = 100};

TEST(TimeToDrainTest, NothingTakesNoTime) {
  EXPECT_EQ(TimeToDrain({}, std::nullopt), Duration::zero());
  EXPECT_EQ(TimeToDrain({}, kHundredAMinute), Duration::zero());
}

TEST(TimeToDrainTest, WithoutALimitThePaceOfThePastCounts) {
  EXPECT_EQ(
      TimeToDrain({.items = 100, .delivered_per_second = 4}, std::nullopt),
      seconds(25));
}

TEST(TimeToDrainTest, WhereNothingWasDeliveredNothingTells) {
  EXPECT_EQ(TimeToDrain({.items = 100}, std::nullopt), std::nullopt);
}

TEST(TimeToDrainTest, TheFreePartOfALimitGoesAtOnceAndTheRestAtItsPace) {
  LimitUse limit = kHundredAMinute;
  EXPECT_EQ(TimeToDrain({.items = 100}, limit), Duration::zero());
  EXPECT_EQ(TimeToDrain({.items = 150}, limit), seconds(30));
  limit.used = 100;
  EXPECT_EQ(TimeToDrain({.items = 150}, limit), seconds(90));
}

TEST(TimeToDrainTest, MoreUseThanALimitThatWasLoweredIsAFullOne) {
  LimitUse limit = kHundredAMinute;
  limit.used = 1'000;
  EXPECT_EQ(TimeToDrain({.items = 100}, limit), seconds(60));
}

TEST(TimeToDrainTest, DeferredItemsAloneGoAtThePaceOfThePast) {
  const QueuedItems deferred = {
      .items = 100, .deferred_items = 100, .delivered_per_second = 2};
  EXPECT_EQ(TimeToDrain(deferred, kHundredAMinute), seconds(50));
}

}  // namespace
}  // namespace heapsync
