#include "server/access/call_slots.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

using Shortage = CallSlots::Shortage;

class CallSlotsTest : public testing::Test {
 protected:
  // Why there was no slot; none if there was one, which is kept.
  std::optional<Shortage> Take(const std::string& caller) {
    auto taken = slots_.Take(caller);
    if (const auto* none = std::get_if<Shortage>(&taken)) return *none;
    kept_.push_back(std::get<CallSlots::Slot>(std::move(taken)));
    return std::nullopt;
  }

  CallSlots slots_{CallSlots::BoundsFor(6, 50)};
  std::vector<CallSlots::Slot> kept_;
};

TEST_F(CallSlotsTest, ACallerHasItsShareAndLeavesTheRestToOthers) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Take("shop"), std::nullopt);
  EXPECT_EQ(Take("shop"), Shortage::kShareTaken);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Take("crm"), std::nullopt);
  EXPECT_EQ(Take("third"), Shortage::kAllTaken);
  const CallSlots::Counts counts = slots_.Read();
  EXPECT_EQ(counts.open, 6);
  EXPECT_EQ(counts.refused_share_taken, 1);
  EXPECT_EQ(counts.refused_all_taken, 1);
}

TEST_F(CallSlotsTest, SlotsReturnToTheirCaller) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Take("shop"), std::nullopt);
  kept_.clear();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Take("shop"), std::nullopt);
  kept_.pop_back();
  EXPECT_EQ(Take("shop"), std::nullopt);
  EXPECT_EQ(Take("shop"), Shortage::kShareTaken);
}

TEST_F(CallSlotsTest, CallersWithoutANameCannotBeToldApart) {
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Take(""), std::nullopt);
  EXPECT_EQ(Take(""), Shortage::kAllTaken);
}

TEST_F(CallSlotsTest, APlaceThatIsMadeIsTakenBeyondTheBounds) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Take("shop"), std::nullopt);
  std::vector<Shortage> asked;
  auto taken = slots_.Take("shop", [&](Shortage shortage) {
    asked.push_back(shortage);
    return true;
  });
  EXPECT_TRUE(std::holds_alternative<CallSlots::Slot>(taken));
  EXPECT_EQ(asked, std::vector<Shortage>{Shortage::kShareTaken});
  EXPECT_EQ(slots_.Read().open, 4);
  EXPECT_EQ(slots_.Read().refused_share_taken, 0);
  // It counts until the call that made the place has ended.
  kept_.pop_back();
  EXPECT_EQ(Take("shop"), Shortage::kShareTaken);
  kept_.pop_back();
  EXPECT_EQ(Take("shop"), std::nullopt);
}

TEST_F(CallSlotsTest, AShareIsOneAtLeast) {
  EXPECT_EQ(CallSlots::BoundsFor(5, 1).per_caller, 1);
  EXPECT_EQ(CallSlots::BoundsFor(1'000'000, 100).per_caller, 1'000'000);
}

}  // namespace
}  // namespace heapsync
