#include "heap_adapter/delivery/recent_traces.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::Optional;

constexpr char kGood[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TraceContext Trace(uint8_t number) {
  TraceContext trace;
  trace.trace_id[15] = number;
  return trace;
}

std::vector<BatchItem> Items(const std::vector<Seq>& seqs) {
  std::vector<BatchItem> items;
  items.reserve(seqs.size());
  for (const Seq seq : seqs) items.push_back({.seq = seq, .coalesced = {}});
  return items;
}

TEST(TraceContextTest, KeepsTheTraceAndWhetherItIsSampled) {
  const auto trace = TraceContext::Parse(kGood);
  ASSERT_TRUE(trace.has_value());
  EXPECT_EQ(trace->TraceId(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(trace->TraceParent(0x1f),
            "00-0af7651916cd43dd8448eb211c80319c-000000000000001f-01");
}

TEST(TraceContextTest, TakesWhatItKnowsOfALaterVersion) {
  const std::string later = absl::StrCat("cc", std::string(kGood).substr(2));
  EXPECT_TRUE(TraceContext::Parse(later).has_value());
  EXPECT_TRUE(TraceContext::Parse(later + "-what-the-future-brings"));
  EXPECT_FALSE(TraceContext::Parse(later + ".what").has_value());
}

TEST(TraceContextTest, RefusesWhatTheDefinitionDoesNotAllow) {
  const std::string good = kGood;
  const std::vector<std::string> all_bad = {
      std::string(),
      std::string("00"),
      good.substr(0, 54),
      good + "0",
      good + "-00",
      " " + good,
      "ff" + good.substr(2),
      "0G" + good.substr(2),
      "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319\n-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
      std::string(55, '-'),
      std::string(100'000, '0'),
  };
  for (const std::string& bad : all_bad) {
    EXPECT_FALSE(TraceContext::Parse(bad).has_value()) << bad.substr(0, 60);
  }
}

TEST(RecentTracesTest, ARequestBelongsToTheTraceOfItsFirstTracedItem) {
  RecentTraces traces(10);
  traces.Remember(1, {5, 6}, Trace(5));
  traces.Remember(1, {8, 10}, Trace(8));
  EXPECT_THAT(traces.FirstOf(1, Items({3, 4, 5, 9})), Optional(Trace(5)));
  EXPECT_THAT(traces.FirstOf(1, Items({9, 4, 5})), Optional(Trace(8)));
  EXPECT_EQ(traces.FirstOf(1, Items({3, 4, 6, 7, 10})), std::nullopt);
  EXPECT_EQ(traces.FirstOf(2, Items({5, 8})), std::nullopt);
  EXPECT_EQ(traces.FirstOf(1, {}), std::nullopt);
}

TEST(RecentTracesTest, KeepsOnlyTheLastOnes) {
  RecentTraces traces(2);
  for (uint8_t i = 1; i <= 3; ++i) {
    traces.Remember(1, {Seq{10} * i, Seq{10} * i + 1}, Trace(i));
  }
  EXPECT_EQ(traces.size(), 2u);
  EXPECT_EQ(traces.FirstOf(1, Items({10})), std::nullopt);
  EXPECT_THAT(traces.FirstOf(1, Items({20})), Optional(Trace(2)));
  EXPECT_THAT(traces.FirstOf(1, Items({30})), Optional(Trace(3)));
}

TEST(RecentTracesTest, TheChunksOfAStreamCostOneEntry) {
  RecentTraces traces(2);
  traces.Remember(1, {0, 10}, Trace(1));
  traces.Remember(1, {10, 20}, Trace(1));
  traces.Remember(1, {20, 30}, Trace(2));
  EXPECT_EQ(traces.size(), 2u);
  EXPECT_THAT(traces.FirstOf(1, Items({0})), Optional(Trace(1)));
  EXPECT_THAT(traces.FirstOf(1, Items({19})), Optional(Trace(1)));
  EXPECT_THAT(traces.FirstOf(1, Items({20})), Optional(Trace(2)));
}

TEST(RecentTracesTest, KeepsNoneWhereThereIsNoSpace) {
  RecentTraces traces(0);
  traces.Remember(1, {0, 10}, Trace(1));
  EXPECT_EQ(traces.size(), 0u);
}

}  // namespace
}  // namespace heapsync
