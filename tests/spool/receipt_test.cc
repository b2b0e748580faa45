#include "heap_adapter/spool/receipt.h"

#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

Receipt Sample() {
  return {
      .spool_id = 0x0123456789abcdef, .lane = 3, .items = {{10, 20}, {7, 8}}};
}

TEST(ReceiptTest, DecodesWhatItEncoded) {
  const auto decoded = Receipt::Decode(Sample().Encode());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, Sample());
}

TEST(ReceiptTest, DecodesRandomReceipts) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    Receipt receipt{.spool_id = random(),
                    .lane = static_cast<LaneId>(random()),
                    .items = {}};
    const size_t ranges = 1 + random() % kMaxReceiptRanges;
    for (size_t r = 0; r < ranges; ++r) {
      const Seq begin = random() >> (random() % 64);
      receipt.items.push_back({begin >> 1, (begin >> 1) + 1 + random() % 1000});
    }
    const auto decoded = Receipt::Decode(receipt.Encode());
    ASSERT_TRUE(decoded.ok()) << receipt.Encode();
    ASSERT_EQ(*decoded, receipt);
  }
}

// Receipts of all lengths modulo three, so that the last character of the text
// carries 2, 4 or 6 bits.
class ReceiptLengthTest : public ::testing::TestWithParam<Seq> {};

TEST_P(ReceiptLengthTest, RefusesEachChangedCharacter) {
  const Receipt receipt{
      .spool_id = 1, .lane = 2, .items = {{GetParam(), GetParam() + 1}}};
  const std::string text = receipt.Encode();
  for (size_t i = 0; i < text.size(); ++i) {
    for (int c = 0; c < 256; ++c) {
      std::string changed = text;
      changed[i] = static_cast<char>(c);
      if (changed == text) continue;
      ASSERT_EQ(Receipt::Decode(changed).status().code(),
                absl::StatusCode::kInvalidArgument)
          << "character " << i << " is " << c;
    }
  }
}

TEST_P(ReceiptLengthTest, RefusesEachMissingAndEachAddedCharacter) {
  const Receipt receipt{
      .spool_id = 1, .lane = 2, .items = {{GetParam(), GetParam() + 1}}};
  const std::string text = receipt.Encode();
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size()) {
      EXPECT_FALSE(Receipt::Decode(std::string(text).erase(i, 1)).ok()) << i;
    }
    for (const char c : {' ', '\n', '=', '.', 'A', '\0'}) {
      EXPECT_FALSE(Receipt::Decode(std::string(text).insert(i, 1, c)).ok())
          << i << " " << static_cast<int>(c);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, ReceiptLengthTest,
                         ::testing::Values(1, 1 << 7, 1 << 14));

TEST(ReceiptTest, RefusesTextsThatAreNoReceipts) {
  for (const std::string& text :
       {std::string(), std::string("r1."), std::string("r1.AAAA"),
        std::string("r2.") + Sample().Encode().substr(3),
        std::string(100'000, 'A'), "r1." + std::string(4000, 'A')}) {
    EXPECT_EQ(Receipt::Decode(text).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(ReceiptTest, RefusesMoreItemsThanCanBeCounted) {
  Receipt receipt = Sample();
  receipt.items = {{0, uint64_t{1} << 63}};
  EXPECT_TRUE(Receipt::Decode(receipt.Encode()).ok());
  receipt.items.push_back({0, uint64_t{1} << 63});
  EXPECT_FALSE(Receipt::Decode(receipt.Encode()).ok());
}

TEST(ReceiptTest, RefusesEmptyRangesNoRangesAndTooMany) {
  Receipt receipt = Sample();
  receipt.items = {};
  EXPECT_FALSE(Receipt::Decode(receipt.Encode()).ok());
  receipt.items = {{5, 5}};
  EXPECT_FALSE(Receipt::Decode(receipt.Encode()).ok());
  receipt.items.assign(kMaxReceiptRanges, {1, 2});
  EXPECT_TRUE(Receipt::Decode(receipt.Encode()).ok());
  receipt.items.push_back({1, 2});
  EXPECT_FALSE(Receipt::Decode(receipt.Encode()).ok());
}

}  // namespace
}  // namespace heapsync
