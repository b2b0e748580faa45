#include "heap_adapter/inspection/dead_letter_order.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

DeadLetterOrder Order() {
  EncodedChunk chunk;
  chunk.accepted_at = WallTime(std::chrono::seconds(1'705'314'600));
  chunk.text = R"({"event":"e"})";
  chunk.items.push_back({.size = static_cast<uint32_t>(chunk.text.size()),
                         .identity_hash = 0xfedcba9876543210});
  return {.places = {{.lane = 300, .seq = 7}, {.lane = 300, .seq = 1'000'000}},
          .force = true,
          .instead = chunk};
}

std::vector<DeadLetterResult> Results() {
  return {{.place = {.lane = 300, .seq = 7},
           .outcome = DeadLetterOutcome::kReplayed,
           .into = 0,
           .detail = {}},
          {.place = {.lane = 300, .seq = 8},
           .outcome = DeadLetterOutcome::kNotStored,
           .into = std::nullopt,
           .detail = "why"}};
}

TEST(DeadLetterOrderTest, KeepsEveryField) {
  const DeadLetterOrder order = *DeadLetterOrder::Decode(Order().Encode());
  EXPECT_EQ(order.places, Order().places);
  EXPECT_TRUE(order.force);
  ASSERT_TRUE(order.instead.has_value());
  EXPECT_EQ(order.instead->accepted_at, Order().instead->accepted_at);
  EXPECT_EQ(order.instead->text, Order().instead->text);
  ASSERT_EQ(order.instead->items.size(), 1);
  EXPECT_EQ(order.instead->items[0].size, Order().instead->text.size());
  EXPECT_EQ(order.instead->items[0].identity_hash, 0xfedcba9876543210);
  EXPECT_FALSE(
      DeadLetterOrder::Decode(DeadLetterOrder().Encode())->instead.has_value());
}

TEST(DeadLetterOrderTest, ResultsKeepEveryField) {
  const std::vector<DeadLetterResult> results =
      *DecodeResults(EncodeResults(Results()));
  ASSERT_EQ(results.size(), 2);
  EXPECT_EQ(results[0].place, Results()[0].place);
  EXPECT_EQ(results[0].outcome, DeadLetterOutcome::kReplayed);
  EXPECT_EQ(results[0].into, 0);
  EXPECT_EQ(results[1].outcome, DeadLetterOutcome::kNotStored);
  EXPECT_EQ(results[1].into, std::nullopt);
  EXPECT_EQ(results[1].detail, "why");
}

TEST(DeadLetterOrderTest, RefusesEveryTruncation) {
  const std::string order = Order().Encode();
  for (size_t size = 0; size < order.size(); ++size) {
    EXPECT_FALSE(DeadLetterOrder::Decode(order.substr(0, size)).ok()) << size;
  }
  const std::string results = EncodeResults(Results());
  for (size_t size = 0; size < results.size(); ++size) {
    EXPECT_FALSE(DecodeResults(results.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace heapsync
