#include "client/cli/timestamp_parsing.h"

#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <string>

namespace heapsync {
namespace {

// RFC 3339 in UTC, or the message of the error.
std::string Parse(absl::string_view text) {
  const auto timestamp = ParseTimestamp(text);
  if (!timestamp.ok()) return "error";
  return google::protobuf::util::TimeUtil::ToString(*timestamp);
}

TEST(TimestampParsingTest, ReadsRfc3339) {
  EXPECT_EQ(Parse("2024-01-15T10:30:00Z"), "2024-01-15T10:30:00Z");
  EXPECT_EQ(Parse("2024-01-15t10:30:00z"), "2024-01-15T10:30:00Z");
  EXPECT_EQ(Parse("2024-01-15T10:30:00.123456789Z"),
            "2024-01-15T10:30:00.123456789Z");
}

TEST(TimestampParsingTest, AppliesOffsets) {
  EXPECT_EQ(Parse("2024-01-15T10:30:00+02:00"), "2024-01-15T08:30:00Z");
  EXPECT_EQ(Parse("2024-01-15T23:30:00-05:30"), "2024-01-16T05:00:00Z");
  EXPECT_EQ(Parse("2024-01-15 10:30:00+02"), "2024-01-15T08:30:00Z");
  EXPECT_EQ(Parse("2024-01-15 10:30:00 +0200"), "2024-01-15T08:30:00Z");
  EXPECT_EQ(Parse("2024-01-15 10:30:00 UTC"), "2024-01-15T10:30:00Z");
}

TEST(TimestampParsingTest, WithoutOffsetIsUtc) {
  EXPECT_EQ(Parse("2024-01-15 10:30:00"), "2024-01-15T10:30:00Z");
  EXPECT_EQ(Parse("2024-01-15 10:30:00.464"), "2024-01-15T10:30:00.464Z");
  EXPECT_EQ(Parse("2024-01-15T10:30:00"), "2024-01-15T10:30:00Z");
}

TEST(TimestampParsingTest, ReadsOtherFormsThatMeanOneThing) {
  for (const char* text :
       {"2024-01-15T10:30Z", "2024-01-15 10:30", "2024-01-15T12:30+02:00",
        "20240115T103000Z", "20240115T123000+0200", "2024/01/15 10:30:00",
        "2024-01-15T10:30:00Z[UTC]", "2024-01-15 10:30:00 GMT",
        " 2024-01-15 10:30:00 ", "1705314600000000000"}) {
    EXPECT_EQ(Parse(text), "2024-01-15T10:30:00Z") << text;
  }
  EXPECT_EQ(Parse("2024/02/29"), "2024-02-29T00:00:00Z");
  EXPECT_EQ(Parse("1705314600123456789"), "2024-01-15T10:30:00.123456789Z");
  EXPECT_EQ(Parse("999999999000000001"), "2001-09-09T01:46:39.000000001Z");
}

TEST(TimestampParsingTest, DateAloneIsMidnight) {
  EXPECT_EQ(Parse("2024-02-29"), "2024-02-29T00:00:00Z");
}

TEST(TimestampParsingTest, ReadsSecondsToMicrosecondsSince1970) {
  EXPECT_EQ(Parse("1705314600"), "2024-01-15T10:30:00Z");
  EXPECT_EQ(Parse("1705314600.5"), "2024-01-15T10:30:00.500Z");
  EXPECT_EQ(Parse("1705314600123"), "2024-01-15T10:30:00.123Z");
  EXPECT_EQ(Parse("999999999"), "2001-09-09T01:46:39Z");
  EXPECT_EQ(Parse("1705314600123456"), "2024-01-15T10:30:00.123456Z");
  EXPECT_EQ(Parse("999999999000001"), "2001-09-09T01:46:39.000001Z");
}

TEST(TimestampParsingTest, ReadsNumbersAsProgramsWriteThem) {
  EXPECT_EQ(Parse("1705314600123.0"), "2024-01-15T10:30:00.123Z");
  EXPECT_EQ(Parse("1705314600.0"), "2024-01-15T10:30:00Z");
  EXPECT_EQ(Parse("1705314600123.4567"), "2024-01-15T10:30:00.123456700Z");
  EXPECT_EQ(Parse("1705314600123456.0"), "2024-01-15T10:30:00.123456Z");
  EXPECT_EQ(Parse("1.705314600123E+12"), "2024-01-15T10:30:00.123Z");
  EXPECT_EQ(Parse("1.705314600123e12"), "2024-01-15T10:30:00.123Z");
  EXPECT_EQ(Parse("1.705314600123456E15"), "2024-01-15T10:30:00.123456Z");
  EXPECT_EQ(Parse("1.7053146005E9"), "2024-01-15T10:30:00.500Z");
  EXPECT_EQ(Parse("1.7053146E9"), "2024-01-15T10:30:00Z");
}

TEST(TimestampParsingTest, NumbersThatWereRoundedAreRefused) {
  for (const char* text :
       {"1.70531E+12", "1.7053146E+09", "1.70531E+09", "17053146.00123E+5",
        "1.7053146E-9", "1.7053146E", "1.7053146E+", "1.7053146E999999999999",
        ".7053146E9", "1E12"}) {
    EXPECT_EQ(Parse(text), "error") << text;
  }
}

TEST(TimestampParsingTest, DigitsThatCouldMeanAnythingAreRefused) {
  for (const char* text :
       {"20240115", "20240115103000", "0", "17053146001", "17053146001234567",
        "202401151030", "2024011510300012", "202401151030001234",
        "9223372036854775808", "99999999999999999999"}) {
    EXPECT_EQ(Parse(text), "error") << text;
  }
}

TEST(TimestampParsingTest, DatesThatDoNotExistAreRefused) {
  for (const char* text :
       {"2023-02-29", "2024-13-01", "2024-00-10", "2024-01-32", "0000-01-01",
        "2024-01-15T24:00:00Z", "2024-01-15T10:60:00Z", "2024-01-15T10:30:61Z",
        "2024-01-15T10:30:60Z"}) {
    EXPECT_EQ(Parse(text), "error") << text;
  }
}

TEST(TimestampParsingTest, OtherTextIsRefused) {
  for (const char* text : {"",
                           " ",
                           "now",
                           "15.01.2024",
                           "01/15/2024",
                           "2024-1-5",
                           "2024-01-15T10Z",
                           "2024-01-15T10:30:00.Z",
                           "2024-01-15T10:30:00+2",
                           "2024-01/15",
                           "2024/01-15",
                           "20240115T1030",
                           "20240115T10:30:00Z",
                           "2024011T103000Z",
                           "2024-01-15T10:30:00Z[Europe/Vienna]",
                           "2024-01-15T10:30.5Z",
                           "2024-01-15 10:30:00 AM",
                           "15/01/2024",
                           "2024-01-15T10:30:00 CET",
                           "2024-01-15T10:30:00Zjunk",
                           "-1705314600",
                           "1705314600.",
                           "2024-01-15 10:30:00+24:00",
                           "1e9"}) {
    EXPECT_EQ(Parse(text), "error") << text;
  }
}

TEST(TimestampParsingTest, LeapSecondIsTheNextMinute) {
  EXPECT_EQ(Parse("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z");
}

TEST(TimestampParsingTest, YearsBeyondTheMessagesRangeAreRefused) {
  EXPECT_EQ(Parse("9999-12-31T23:59:59Z"), "9999-12-31T23:59:59Z");
  EXPECT_EQ(Parse("9999-12-31T23:59:59-01:00"), "error");
  EXPECT_EQ(Parse("0001-01-01T00:00:00+01:00"), "error");
}

TEST(TimestampParsingTest, ErrorsDoNotQuoteTheText) {
  const auto status = ParseTimestamp("secret").status();
  EXPECT_EQ(status.message().find("secret"), absl::string_view::npos);
}

}  // namespace
}  // namespace heapsync
