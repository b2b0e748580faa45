#include "heap_adapter/scheduling/backoff.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>

namespace heapsync {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The largest double below one: the longest wait that can be drawn.
constexpr double kAlmostOne = 1.0 - std::numeric_limits<double>::epsilon() / 2;

TEST(FullJitter, DoublesTheLongestWaitWithEachFailure) {
  const BackoffRules rules;
  EXPECT_EQ(FullJitter(1, rules, 0.5), milliseconds(250));
  EXPECT_EQ(FullJitter(2, rules, 0.5), milliseconds(500));
  EXPECT_EQ(FullJitter(3, rules, 0.5), seconds(1));
  EXPECT_EQ(FullJitter(7, rules, 0.5), seconds(16));
}

TEST(FullJitter, IsCapped) {
  const BackoffRules rules;
  EXPECT_EQ(FullJitter(8, rules, 0.5), seconds(30));
  EXPECT_EQ(FullJitter(9, rules, 0.5), seconds(30));
}

TEST(FullJitter, StretchesFromTheMinimumToTheLongestWait) {
  const BackoffRules rules;
  EXPECT_EQ(FullJitter(4, rules, 0.0), milliseconds(100));
  EXPECT_EQ(FullJitter(1, rules, 0.19), milliseconds(100));
  EXPECT_EQ(FullJitter(4, rules, 0.25), seconds(1));
  EXPECT_EQ(FullJitter(4, rules, kAlmostOne), seconds(4) - Duration(1));
}

TEST(FullJitter, TakesAnyNumberOfFailures) {
  const BackoffRules rules;
  constexpr int kMost = std::numeric_limits<int>::max();
  EXPECT_EQ(FullJitter(2'000, rules, 0.5), seconds(30));
  EXPECT_EQ(FullJitter(kMost, rules, 0.5), seconds(30));
  EXPECT_EQ(FullJitter(kMost, rules, 0.0), rules.min);
  EXPECT_EQ(FullJitter(0, rules, 0.5), milliseconds(250));
  EXPECT_EQ(FullJitter(std::numeric_limits<int>::min(), rules, 0.5),
            milliseconds(250));
}

TEST(FullJitter, StaysEvenWithAFactorOfOne) {
  const BackoffRules rules{
      .initial = seconds(2), .factor = 1.0, .cap = seconds(60)};
  EXPECT_EQ(FullJitter(1, rules, 0.5), seconds(1));
  EXPECT_EQ(FullJitter(1'000'000, rules, 0.5), seconds(1));
}

TEST(FullJitter, TakesACapBelowTheFirstWait) {
  const BackoffRules rules{
      .initial = seconds(10), .factor = 2.0, .cap = seconds(1)};
  EXPECT_EQ(FullJitter(1, rules, 0.5), milliseconds(500));
}

}  // namespace
}  // namespace heapsync
