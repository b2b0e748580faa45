#include "server/log/log_flow.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST(LogFlowTest, SoManyLinesOfAMessagePassInASecondAndNoMore) {
  LogFlow flow(2);
  EXPECT_TRUE(flow.Take("a", 7));
  EXPECT_TRUE(flow.Take("a", 7));
  EXPECT_FALSE(flow.Take("a", 7));
  EXPECT_TRUE(flow.Take("a", 8));
}

TEST(LogFlowTest, OneMessageDoesNotHoldBackAnother) {
  LogFlow flow(1);
  EXPECT_TRUE(flow.Take("a", 7));
  EXPECT_FALSE(flow.Take("a", 7));
  EXPECT_TRUE(flow.Take("b", 7));
}

TEST(LogFlowTest, WhatWasHeldBackIsToldOnceWhenItsSecondIsOver) {
  LogFlow flow(1);
  for (int i = 0; i < 5; ++i) flow.Take("a", 7);
  for (int i = 0; i < 3; ++i) flow.Take("b", 7);
  flow.Take("c", 7);
  EXPECT_THAT(flow.TakeSuppressed(7), IsEmpty());
  EXPECT_THAT(flow.TakeSuppressed(8),
              UnorderedElementsAre(Pair("a", 4), Pair("b", 2)));
  EXPECT_THAT(flow.TakeSuppressed(9), IsEmpty());
}

}  // namespace
}  // namespace heapsync
