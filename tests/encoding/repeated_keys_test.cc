#include "heap_adapter/encoding/repeated_keys.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

const ContentDigest kMonday = DigestContent("Monday", "");
const ContentDigest kTuesday = DigestContent("Tuesday", "");
constexpr int kMaxKeys = 1'000;

TEST(RepeatedKeysTest, FindsAKeyWithOtherContent) {
  RepeatedKeys keys(kMaxKeys);
  EXPECT_FALSE(keys.IsReused("order-1", kMonday));
  EXPECT_FALSE(keys.IsReused("order-2", kMonday));
  EXPECT_TRUE(keys.IsReused("order-1", kTuesday));
}

TEST(RepeatedKeysTest, AnExactRepetitionIsHarmless) {
  RepeatedKeys keys(kMaxKeys);
  EXPECT_FALSE(keys.IsReused("order-1", kMonday));
  EXPECT_FALSE(keys.IsReused("order-1", kMonday));
}

// Heap keeps the first event of a key, however often another one comes.
TEST(RepeatedKeysTest, TheFirstContentCounts) {
  RepeatedKeys keys(kMaxKeys);
  EXPECT_FALSE(keys.IsReused("order-1", kMonday));
  EXPECT_TRUE(keys.IsReused("order-1", kTuesday));
  EXPECT_TRUE(keys.IsReused("order-1", kTuesday));
  EXPECT_FALSE(keys.IsReused("order-1", kMonday));
}

TEST(RepeatedKeysTest, RemembersTheLastKeysAndTheirFirstContents) {
  RepeatedKeys keys(kMaxKeys);
  const int end = 5 * kMaxKeys / 2;
  for (int i = 0; i < end; ++i) {
    EXPECT_FALSE(keys.IsReused(absl::StrCat("order-", i), kMonday));
  }
  for (int i = end - kMaxKeys; i < end; ++i) {
    EXPECT_TRUE(keys.IsReused(absl::StrCat("order-", i), kTuesday));
  }
}

TEST(RepeatedKeysTest, ForgetsKeysFarBack) {
  RepeatedKeys keys(kMaxKeys);
  for (int i = 0; i < 3 * kMaxKeys; ++i) {
    EXPECT_FALSE(keys.IsReused(absl::StrCat("order-", i), kMonday));
  }
  EXPECT_FALSE(keys.IsReused("order-0", kTuesday));
}

TEST(RepeatedKeysTest, AMillionDifferentKeysAreNoRepetition) {
  RepeatedKeys keys(kMaxKeys);
  int found = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const bool reused = keys.IsReused(absl::StrCat("order-", i),
                                      i % 2 == 0 ? kMonday : kTuesday);
    found += reused ? 1 : 0;
  }
  EXPECT_EQ(found, 0);
}

TEST(ReusedKeysTest, AllAreCountedAndTheFirstNamed) {
  ReusedKeys reused;
  reused.Add(2);
  reused.Add(30);
  EXPECT_EQ(reused.count, 2u);
  EXPECT_EQ(reused.PlacesText(), "2, 30");
  for (uint64_t place = 31; place <= 38; ++place) reused.Add(place);
  EXPECT_EQ(reused.PlacesText(), "2, 30, 31, 32, 33, 34, 35, 36, 37, 38");
  reused.Add(39);
  EXPECT_EQ(reused.count, 11u);
  EXPECT_EQ(reused.PlacesText(), "2, 30, 31, 32, 33, 34, 35, 36, 37, 38, …");
}

}  // namespace
}  // namespace heapsync
