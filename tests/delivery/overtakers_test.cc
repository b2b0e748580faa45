#include "heap_adapter/delivery/overtakers.h"

#include <optional>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OvertakersTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kMany = 1;
  static constexpr uint64_t kFew = 2;

  void Append(uint64_t caller, const std::vector<uint64_t>& identities) {
    const SeqRange items{head_, head_ + identities.size()};
    overtakers_.OnAppended(items, caller, identities, cursor_, bounds_,
                           memory_);
    head_ = items.end;
  }
  void AppendMany(uint64_t caller, uint64_t items) {
    std::vector<uint64_t> identities(items);
    for (uint64_t& each : identities) each = random_();
    Append(caller, identities);
  }
  std::vector<Seq> TakeAll() {
    std::vector<Seq> taken;
    while (const std::optional<Seq> next = overtakers_.Next(cursor_)) {
      taken.push_back(*next);
      overtakers_.Pop();
    }
    return taken;
  }

  std::mt19937_64 random_{1};
  OvertakingBounds bounds_{.min_backlog = 100, .max_waiting = 3};
  Overtakers::Memory memory_;
  Overtakers overtakers_{0};
  Seq head_ = 0;
  Seq cursor_ = 0;
};

TEST_F(OvertakersTest, NothingOvertakesItemsWhoseIdentitiesAreNotKnown) {
  AppendMany(kMany, 100);
  Append(kFew, {7});
  cursor_ = 99;
  EXPECT_THAT(TakeAll(), IsEmpty());
  cursor_ = 100;
  EXPECT_THAT(TakeAll(), ElementsAre(100));
}

TEST_F(OvertakersTest, ItemsThatAreLeftOutAreNotKnown) {
  AppendMany(kMany, 100);
  AppendMany(kMany, 50);
  head_ += 10;
  Append(kFew, {7});
  overtakers_.OnAppended({150, 160}, 0, {}, cursor_, bounds_, memory_);
  cursor_ = 159;
  EXPECT_THAT(TakeAll(), IsEmpty());
  cursor_ = 160;
  EXPECT_THAT(TakeAll(), ElementsAre(160));
}

TEST_F(OvertakersTest, NewIdentitiesOvertakeAndKnownOnesDoNot) {
  bounds_.max_waiting = 4;
  AppendMany(kMany, 100);
  Append(kMany, {5, 6, 7, 8, 9});
  Append(kFew, {9, 10});
  Append(kFew, {10, 11});
  cursor_ = 100;
  // Four of the first caller's go at once, too.
  EXPECT_THAT(TakeAll(), ElementsAre(100, 101, 102, 103, 106, 107, 108));
}

TEST_F(OvertakersTest, ACallerOfWhomManyWaitOvertakesNobody) {
  AppendMany(kMany, 100);
  AppendMany(kMany, 200);
  cursor_ = 100;
  EXPECT_THAT(TakeAll(), ElementsAre(100, 101, 102));
  AppendMany(kMany, 2);
  EXPECT_THAT(TakeAll(), IsEmpty());
  AppendMany(kFew, 4);
  EXPECT_THAT(TakeAll(), ElementsAre(302, 303, 304));
  // Once the others have gone, it may again.
  cursor_ = 303;
  AppendMany(kMany, 99);
  cursor_ = 304;
  AppendMany(kMany, 4);
  EXPECT_THAT(TakeAll(), IsEmpty());
}

TEST_F(OvertakersTest, WhatHasGoneIsForgotten) {
  AppendMany(kMany, 100);
  AppendMany(kMany, 100'000);
  Append(kFew, {7});
  EXPECT_GT(memory_.filter_bytes, 200'000);
  cursor_ = head_;
  EXPECT_THAT(TakeAll(), IsEmpty());
  EXPECT_EQ(memory_.filter_bytes, 0);
}

TEST_F(OvertakersTest, FiltersTakeBoundedMemoryAndNothingIsOvertakenBeyond) {
  bounds_.max_filter_bytes = 80'000;
  AppendMany(kMany, 100);
  AppendMany(kMany, 4'200);
  cursor_ = 100;
  Append(kFew, {7});
  EXPECT_LE(memory_.filter_bytes, 10'000);
  EXPECT_THAT(TakeAll(), IsEmpty());
  cursor_ = 4'000;
  Append(kFew, {8});
  EXPECT_THAT(TakeAll(), IsEmpty());
}

TEST_F(OvertakersTest, FewNewIdentitiesAreTakenForKnownOnes) {
  bounds_.max_waiting = 0;
  AppendMany(kMany, 100);
  AppendMany(kMany, 100'000);
  bounds_.max_waiting = 2'000;
  AppendMany(kFew, 1'000);
  cursor_ = 100;
  EXPECT_GT(TakeAll().size(), 980);
}

TEST_F(OvertakersTest, ANewerUpdateStandsBehindTheOneThatOvertakes) {
  AppendMany(kMany, 100);
  AppendMany(kMany, 150);
  Append(kFew, {7});
  Append(kFew, {7});
  cursor_ = 103;
  EXPECT_THAT(TakeAll(), ElementsAre(250, 251));
  Append(kFew, {7});
  EXPECT_THAT(TakeAll(), ElementsAre(252));
}

TEST_F(OvertakersTest, FiltersOfAllLanesTakeBoundedMemory) {
  bounds_.max_filter_bytes = 80'000;
  memory_.filter_bytes = 75'000;  // of other lanes
  AppendMany(kMany, 100);
  AppendMany(kMany, 100);
  EXPECT_EQ(memory_.filter_bytes, 75'000);
  memory_.filter_bytes = 0;
}

TEST_F(OvertakersTest, OneLaneHasAnEighthOfTheMemory) {
  bounds_.max_filter_bytes = 100'000;
  AppendMany(kMany, 100);
  AppendMany(kMany, 10'000);
  EXPECT_LE(memory_.filter_bytes, 12'500);
  EXPECT_GT(memory_.filter_bytes, 8'000);
}

TEST_F(OvertakersTest, RunsOfManyCallersAreBounded) {
  bounds_.max_waiting = 0;
  AppendMany(kMany, 100);
  for (uint64_t caller = 10; caller < 5'010; ++caller) AppendMany(caller, 1);
  bounds_.max_waiting = 1;
  cursor_ = head_ - 1'000;
  // Most callers are in one run that counts for the first of them only.
  AppendMany(kFew, 1);
  AppendMany(1'033, 1);
  AppendMany(4'999, 1);
  EXPECT_THAT(TakeAll(), ElementsAre(5'100, 5'102));
}

}  // namespace
}  // namespace heapsync
