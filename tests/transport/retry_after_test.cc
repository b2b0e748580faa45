#include "heap_adapter/transport/retry_after.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"

namespace heapsync {
namespace {

using ::testing::Eq;
using ::testing::Optional;

constexpr Duration kMaxLength = std::chrono::hours(1);

constexpr WallTime At(int year, unsigned month, unsigned day,
                      std::chrono::seconds time_of_day) {
  return WallTime(std::chrono::sys_days(std::chrono::year_month_day(
             std::chrono::year(year), std::chrono::month(month),
             std::chrono::day(day)))) +
         time_of_day;
}

// Sunday, 6 November 1994, 08:49:30: seven seconds before the example of RFC
// 9110.
constexpr WallTime kNow = At(1994, 11, 6,
                             std::chrono::hours(8) + std::chrono::minutes(49) +
                                 std::chrono::seconds(30));

std::optional<Duration> Parse(absl::string_view text) {
  return ParseRetryAfter(text, kNow, kMaxLength);
}

TEST(RetryAfter, ReadsSeconds) {
  EXPECT_THAT(Parse("7"), Optional(Eq(std::chrono::seconds(7))));
  EXPECT_THAT(Parse("0120"), Optional(Eq(std::chrono::seconds(120))));
  EXPECT_THAT(Parse(" \t7 "), Optional(Eq(std::chrono::seconds(7))));
}

TEST(RetryAfter, ReadsSecondsSince1970OfATimeThatIsNear) {
  const auto since_1970 = [](Duration from_now) {
    return absl::StrCat(std::chrono::floor<std::chrono::seconds>(
                            (kNow + from_now).time_since_epoch())
                            .count());
  };
  EXPECT_THAT(Parse(since_1970(std::chrono::seconds(30))),
              Optional(Eq(Duration(std::chrono::seconds(30)))));
  EXPECT_EQ(Parse(since_1970(-std::chrono::seconds(30))), std::nullopt);
  EXPECT_THAT(Parse(since_1970(std::chrono::hours(48))),
              Optional(Eq(kMaxLength)));
}

TEST(RetryAfter, RoundsFractionsOfASecondUp) {
  EXPECT_THAT(Parse("1.5"), Optional(Eq(std::chrono::seconds(2))));
  EXPECT_THAT(Parse("0.001"), Optional(Eq(std::chrono::seconds(1))));
  EXPECT_THAT(Parse("7.000"), Optional(Eq(std::chrono::seconds(7))));
  EXPECT_THAT(Parse(" 29.75 "), Optional(Eq(std::chrono::seconds(30))));
  EXPECT_EQ(Parse("0.0"), std::nullopt);
  EXPECT_THAT(Parse("3599.5"), Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse("3600.5"), Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse(std::string(100'000, '9') + ".5"),
              Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse("1." + std::string(100'000, '0') + "1"),
              Optional(Eq(std::chrono::seconds(2))));
}

TEST(RetryAfter, RoundsATimeSince1970UpToo) {
  const auto now = std::chrono::floor<std::chrono::seconds>(kNow);
  EXPECT_THAT(Parse(absl::StrCat(now.time_since_epoch().count() + 29, ".25")),
              Optional(Eq(Duration(std::chrono::seconds(30)))));
}

TEST(RetryAfter, CutsSecondsToTheLongestWait) {
  EXPECT_THAT(Parse("3600"), Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse("3601"), Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse("99999999999999999999999999"), Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse(std::string(100'000, '9')), Optional(Eq(kMaxLength)));
  EXPECT_THAT(Parse(std::string(100'000, '0') + "5"),
              Optional(Eq(std::chrono::seconds(5))));
}

TEST(RetryAfter, ReadsAllThreeFormsOfADate) {
  const auto seven_seconds = Optional(Eq(Duration(std::chrono::seconds(7))));
  EXPECT_THAT(Parse("Sun, 06 Nov 1994 08:49:37 GMT"), seven_seconds);
  EXPECT_THAT(Parse("Sunday, 06-Nov-94 08:49:37 GMT"), seven_seconds);
  EXPECT_THAT(Parse("Sun Nov  6 08:49:37 1994"), seven_seconds);
}

TEST(RetryAfter, ReadsATwoDigitDayInAsctime) {
  EXPECT_THAT(
      ParseRetryAfter("Wed Nov 16 00:00:09 1994",
                      At(1994, 11, 16, std::chrono::seconds(0)), kMaxLength),
      Optional(Eq(std::chrono::seconds(9))));
}

TEST(RetryAfter, IsNoneWhereNothingIsLeftToWaitFor) {
  for (const char* over :
       {"0", "000", " 0 ", "Sun, 06 Nov 1994 08:49:30 GMT",
        "Sat, 05 Nov 1994 08:49:37 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"}) {
    EXPECT_EQ(Parse(over), std::nullopt) << over;
  }
  EXPECT_EQ(ParseRetryAfter("7", kNow, Duration(0)), std::nullopt);
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", kNow, Duration(0)),
            std::nullopt);
}

TEST(RetryAfter, CutsAFarDateToTheLongestWait) {
  EXPECT_THAT(Parse("Fri, 31 Dec 9999 23:59:59 GMT"), Optional(Eq(kMaxLength)));
}

TEST(RetryAfter, TakesTwoDigitYearsAtMostFiftyYearsAhead) {
  const WallTime now = At(2026, 1, 1, std::chrono::seconds(0));
  EXPECT_THAT(
      ParseRetryAfter("Wednesday, 01-Jan-76 00:00:00 GMT", now, kMaxLength),
      Optional(Eq(kMaxLength)));
  EXPECT_EQ(
      ParseRetryAfter("Saturday, 01-Jan-77 00:00:00 GMT", now, kMaxLength),
      std::nullopt);
  EXPECT_THAT(
      ParseRetryAfter("Thursday, 01-Jan-26 00:00:30 GMT", now, kMaxLength),
      Optional(Eq(std::chrono::seconds(30))));
}

TEST(RetryAfter, FindsTheCenturyOfATwoDigitYearAtItsTurn) {
  const WallTime now = At(2099, 12, 31,
                          std::chrono::hours(23) + std::chrono::minutes(59) +
                              std::chrono::seconds(59));
  EXPECT_THAT(
      ParseRetryAfter("Friday, 01-Jan-00 00:00:01 GMT", now, kMaxLength),
      Optional(Eq(std::chrono::seconds(2))));
}

TEST(RetryAfter, KnowsLeapDaysAndLeapSeconds) {
  const WallTime now = At(2024, 2, 28,
                          std::chrono::hours(23) + std::chrono::minutes(59) +
                              std::chrono::seconds(59));
  EXPECT_THAT(ParseRetryAfter("Thu, 29 Feb 2024 00:00:00 GMT", now, kMaxLength),
              Optional(Eq(std::chrono::seconds(1))));
  EXPECT_EQ(ParseRetryAfter("Wed, 29 Feb 2023 00:00:00 GMT", now, kMaxLength),
            std::nullopt);
  EXPECT_THAT(ParseRetryAfter("Wed, 28 Feb 2024 23:59:60 GMT", now, kMaxLength),
              Optional(Eq(std::chrono::seconds(1))));
}

class MalformedRetryAfter : public ::testing::TestWithParam<const char*> {};

TEST_P(MalformedRetryAfter, IsNone) {
  EXPECT_EQ(Parse(GetParam()), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    Texts, MalformedRetryAfter,
    ::testing::Values(
        "", " ", "-1", "+7", "7s", "7.", ".5", ".", "7.5.2", "7..5", "-1.5",
        "1.-5", "+1.5", "7.5s", "1.5e3", "1. 5", "1,5", "1_000.5", "0x1.8",
        "1.\xd9\xa5", "1e3", "1e9", "0x10", "7 7", "7,8", "inf", "NaN", "soon",
        "\xff\xfe", "Sun", "Sun,", "Sunday", "Sunday,", "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 06 Nov 1994 08:49:37 GMT junk",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nou 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT", "sun, 06 Nov 1994 08:49:37 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT", "Sun Nov   08:49:37 1994",
        "1994-11-06T08:49:37Z"));

}  // namespace
}  // namespace heapsync
