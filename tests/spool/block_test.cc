#include "heap_adapter/spool/block.h"

#include <xxhash.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/coding.h"

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

// Long and similar, so that they are compressed; each contains its number.
std::string ManyItems(uint64_t count) {
  BlockBuilder builder;
  for (uint64_t n = 0; n < count; ++n) {
    builder.Add({.accepted_at = kAccepted,
                 .identity_hash = n,
                 .text = absl::StrCat(R"({"identity":"a","event":"b )", n,
                                      R"(","properties":{"plan":"c"}})")});
  }
  return builder.Take(77);
}

TEST(BlockTest, ManyItemsThatAreAlikeTakeLessThanHalfOfTheirTexts) {
  const std::string value = ManyItems(1'000);
  const BlockReader reader(value, 999);
  ASSERT_TRUE(reader.status().ok());
  ASSERT_EQ(reader.items().size(), 1'000);
  size_t bytes = 0;
  for (const StoredItem& item : reader.items()) {
    EXPECT_EQ(item.seq, item.identity_hash);
    EXPECT_EQ(item.text,
              absl::StrCat(R"({"identity":"a","event":"b )", item.seq,
                           R"(","properties":{"plan":"c"}})"));
    bytes += item.text.size();
  }
  EXPECT_LT(value.size(), bytes / 2);
}

TEST(BlockTest, ItemsThatCannotBeCompressedAreKeptAsTheyAre) {
  std::mt19937_64 random(7);
  std::string text(4'000, ' ');
  for (char& c : text) c = static_cast<char>(random());
  BlockBuilder builder;
  builder.Add({.text = text});
  const std::string value = builder.Take(1);
  const BlockReader reader(value, 0);
  ASSERT_EQ(reader.items().size(), 1);
  EXPECT_EQ(reader.items()[0].text, text);
  EXPECT_LT(value.size(), text.size() + 50);
}

TEST(BlockTest, DetectsEveryFlippedBitOfACompressedBlock) {
  const std::string value = ManyItems(20);
  ASSERT_TRUE(BlockReader(value, 19).status().ok());
  for (size_t bit = 0; bit < value.size() * 8; ++bit) {
    std::string damaged = value;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const BlockReader reader(damaged, 19);
    ASSERT_EQ(reader.status().code(), absl::StatusCode::kDataLoss) << bit;
    ASSERT_TRUE(reader.items().empty()) << bit;
  }
}

// A valid checksum over invalid bytes, as a bug of ours could write it. Nothing
// of it is trusted, and little memory is allocated.
TEST(BlockTest, DetectsAMalformedCompressedBody) {
  for (const absl::string_view body :
       {absl::string_view("\x80\x08garbage garbage", 17),
        absl::string_view("\xff\xff\xff\xff\x0fgarbage", 12),
        absl::string_view("\x00", 1), absl::string_view("", 0)}) {
    std::string rest;
    AppendVarint(rest, 77);
    AppendVarint(rest, 1);
    rest.append(body.data(), body.size());
    std::string value = "\x02";
    AppendFixed64(value, XXH3_64bits(rest.data(), rest.size()));
    value += rest;
    const BlockReader reader(value, 0);
    EXPECT_EQ(reader.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_TRUE(reader.items().empty());
  }
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

TEST(BlockTest, DetectsEveryFlippedBit) {
  const std::string value = ThreeItems();
  for (size_t bit = 0; bit < value.size() * 8; ++bit) {
    std::string damaged = value;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const BlockReader reader(damaged, 12);
    ASSERT_EQ(reader.status().code(), absl::StatusCode::kDataLoss) << bit;
    ASSERT_TRUE(reader.items().empty()) << bit;
  }
}

TEST(BlockTest, DetectsEveryTruncationAndEveryExtraByte) {
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
