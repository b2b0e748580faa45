#include "heap_adapter/encoding/timestamp_text.h"

#include <chrono>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

std::optional<std::string> Text(int64_t seconds, int32_t nanos = 0) {
  const auto text = TimestampText::FromUnix(seconds, nanos);
  if (!text.has_value()) return std::nullopt;
  return std::string(text->view());
}

TEST(TimestampTextTest, WritesUtc) {
  EXPECT_EQ(Text(1'705'314'600), "2024-01-15T10:30:00Z");
  EXPECT_EQ(Text(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(Text(-1), "1969-12-31T23:59:59Z");
  EXPECT_EQ(Text(951'782'399), "2000-02-28T23:59:59Z");
  EXPECT_EQ(Text(951'782'400), "2000-02-29T00:00:00Z");
}

TEST(TimestampTextTest, WritesOnlyAsManyDigitsAsNeeded) {
  EXPECT_EQ(Text(0, 500'000'000), "1970-01-01T00:00:00.500Z");
  EXPECT_EQ(Text(0, 1'000'000), "1970-01-01T00:00:00.001Z");
  EXPECT_EQ(Text(0, 120'000), "1970-01-01T00:00:00.000120Z");
  EXPECT_EQ(Text(0, 1), "1970-01-01T00:00:00.000000001Z");
  EXPECT_EQ(Text(-1, 999'999'999), "1969-12-31T23:59:59.999999999Z");
}

TEST(TimestampTextTest, TakesTheYearsOneTo9999) {
  EXPECT_EQ(Text(-62'135'596'800), "0001-01-01T00:00:00Z");
  EXPECT_EQ(Text(253'402'300'799, 999'999'999),
            "9999-12-31T23:59:59.999999999Z");
  EXPECT_EQ(Text(-62'135'596'801), std::nullopt);
  EXPECT_EQ(Text(253'402'300'800), std::nullopt);
}

TEST(TimestampTextTest, RefusesNanosecondsOutsideOneSecond) {
  EXPECT_EQ(Text(0, -1), std::nullopt);
  EXPECT_EQ(Text(0, 1'000'000'000), std::nullopt);
}

TEST(TimestampTextTest, RoundsTimesBefore1970Down) {
  using std::chrono::microseconds;
  EXPECT_EQ(TimestampText::FromWallTime(WallTime(microseconds(-1))).view(),
            "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(
      TimestampText::FromWallTime(WallTime(microseconds(1'500'000))).view(),
      "1970-01-01T00:00:01.500Z");
}

}  // namespace
}  // namespace heapsync
