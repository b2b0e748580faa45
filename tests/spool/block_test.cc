#include "heap_adapter/spool/block.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

constexpr WallTime kAccepted{std::chrono::seconds(1'705'314'600)};

std::string ThreeItems(uint64_t lane_bytes = 77) {
  BlockBuilder builder;
  builder.Add({.accepted_at = kAccepted, .identity_hash = 7, .text = "{}"});
  builder.Add({.accepted_at = kAccepted + Duration(1),
               .identity_hash = ~uint64_t{0},
               .replays = 300,
               .text = R"({"identity":"a"})"});
  builder.Add({.accepted_at = WallTime(Duration(-1)), .text = ""});
  return builder.Take(lane_bytes);
}

TEST(BlockTest, GivesBackTheItemsThatWentIn) {
  const std::string value = ThreeItems();
  const BlockReader reader(value, 12);
  ASSERT_TRUE(reader.status().ok());
  ASSERT_EQ(reader.items().size(), 3);
  EXPECT_EQ(reader.lane_bytes(), 77);
  EXPECT_EQ(reader.items()[0].seq, 10);
  EXPECT_EQ(reader.items()[0].text, "{}");
  EXPECT_EQ(reader.items()[1].seq, 11);
  EXPECT_EQ(reader.items()[1].accepted_at, kAccepted + Duration(1));
  EXPECT_EQ(reader.items()[1].identity_hash, ~uint64_t{0});
  EXPECT_EQ(reader.items()[1].replays, 300);
  EXPECT_EQ(reader.items()[1].text, R"({"identity":"a"})");
  EXPECT_EQ(reader.items()[2].accepted_at, WallTime(Duration(-1)));
  EXPECT_EQ(reader.items()[2].text, "");
}

TEST(BlockTest, BuilderCountsAndIsEmptyAfterTake) {
  BlockBuilder builder;
  EXPECT_TRUE(builder.empty());
  builder.Add({.text = "1234"});
  builder.Add({.text = "56"});
  EXPECT_EQ(builder.items(), 2);
  EXPECT_EQ(builder.text_bytes(), 6);
  builder.Take(6);
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.text_bytes(), 0);
  builder.Add({.text = "7"});
  EXPECT_EQ(BlockReader(builder.Take(7), 0).items().size(), 1);
}

TEST(BlockTest, TellsEveryFlippedBit) {
  const std::string value = ThreeItems();
  for (size_t bit = 0; bit < value.size() * 8; ++bit) {
    std::string damaged = value;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const BlockReader reader(damaged, 12);
    ASSERT_EQ(reader.status().code(), absl::StatusCode::kDataLoss) << bit;
    ASSERT_TRUE(reader.items().empty()) << bit;
  }
}

TEST(BlockTest, TellsEveryTruncationAndEveryByteTooMany) {
  const std::string value = ThreeItems();
  for (size_t size = 0; size < value.size(); ++size) {
    const BlockReader reader(absl::string_view(value).substr(0, size), 12);
    ASSERT_EQ(reader.status().code(), absl::StatusCode::kDataLoss) << size;
    ASSERT_TRUE(reader.items().empty()) << size;
  }
  const std::string longer = value + '\0';
  EXPECT_FALSE(BlockReader(longer, 12).status().ok());
}

TEST(BlockTest, RefusesMoreItemsThanTheLaneCanHaveHad) {
  const std::string value = ThreeItems();
  EXPECT_TRUE(BlockReader(value, 2).status().ok());
  const BlockReader reader(value, 1);
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(reader.items().empty());
}

}  // namespace
}  // namespace heapsync
