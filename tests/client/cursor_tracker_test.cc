#include "client/cli/cursor_tracker.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace heapsync {
namespace {

std::optional<std::string> None() { return std::nullopt; }

TEST(CursorTrackerTest, NothingIsCompleteBeforeTheFirstRow) {
  CursorTracker tracker(CursorOrder::kText);
  EXPECT_EQ(tracker.Completed(0), None());
}

TEST(CursorTrackerTest, TheLastValueThatWasReadStaysOpen) {
  CursorTracker tracker(CursorOrder::kText);
  ASSERT_TRUE(tracker.Observe(1, "2024-01-01 00:00:00").ok());
  EXPECT_EQ(tracker.Completed(1), None());
  ASSERT_TRUE(tracker.Observe(2, "2024-01-01 00:00:00.5").ok());
  EXPECT_EQ(tracker.Completed(1), "2024-01-01 00:00:00");
}

TEST(CursorTrackerTest, RowsOfOneValueAreCompleteTogether) {
  CursorTracker tracker(CursorOrder::kNumber);
  ASSERT_TRUE(tracker.Observe(1, "7").ok());
  ASSERT_TRUE(tracker.Observe(2, "7").ok());
  ASSERT_TRUE(tracker.Observe(3, "8").ok());
  EXPECT_EQ(tracker.Completed(1), None());
  EXPECT_EQ(tracker.Completed(2), "7");
}

TEST(CursorTrackerTest, TheEndOfTheResultCompletesTheLastValue) {
  CursorTracker tracker(CursorOrder::kNumber);
  ASSERT_TRUE(tracker.Observe(1, "7").ok());
  tracker.Finish();
  EXPECT_EQ(tracker.Completed(0), None());
  EXPECT_EQ(tracker.Completed(1), "7");
}

TEST(CursorTrackerTest, WhatWasCompletedStaysSoOnceNothingIsOpen) {
  CursorTracker tracker(CursorOrder::kNumber);
  ASSERT_TRUE(tracker.Observe(1, "7").ok());
  ASSERT_TRUE(tracker.Observe(2, "8").ok());
  EXPECT_EQ(tracker.Completed(1), "7");
  EXPECT_EQ(tracker.Completed(1), "7");
}

TEST(CursorTrackerTest, AValueBelowTheOneBeforeIsRefused) {
  CursorTracker tracker(CursorOrder::kNumber);
  ASSERT_TRUE(tracker.Observe(1, "10").ok());
  EXPECT_EQ(tracker.Completed(1), None());
  EXPECT_TRUE(absl::IsFailedPrecondition(tracker.Observe(2, "9")));
}

TEST(CompareCursorValuesTest, NumbersCompareByTheirValue) {
  const auto compare = [](const char* a, const char* b) {
    return CompareCursorValues(CursorOrder::kNumber, a, b);
  };
  EXPECT_LT(compare("9", "10"), 0);
  EXPECT_GT(compare("-9", "-10"), 0);
  EXPECT_EQ(compare("1.50", "1.5"), 0);
  EXPECT_EQ(compare("-0", "0"), 0);
  EXPECT_LT(compare("1.45", "1.5"), 0);
  EXPECT_LT(compare("9007199254740992", "9007199254740993"), 0);
}

TEST(CompareCursorValuesTest, TextsCompareByteByByte) {
  EXPECT_GT(CompareCursorValues(CursorOrder::kText, "9", "10"), 0);
  EXPECT_LT(CompareCursorValues(CursorOrder::kText, "2024-01-01 00:00:00.45",
                                "2024-01-01 00:00:00.5"),
            0);
}

TEST(CompareCursorValuesTest, TextsThatADatabaseMayTakeForEqualAreEqual) {
  EXPECT_EQ(CompareCursorValues(CursorOrder::kText, "A1 ", "a1"), 0);
}

}  // namespace
}  // namespace heapsync
