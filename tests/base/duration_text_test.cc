#include "base/duration_text.h"

#include <gtest/gtest.h>

#include <chrono>

namespace heapsync {
namespace {

TEST(DurationText, HasNumbersAndUnits) {
  EXPECT_EQ(ParseDurationText("500ms"), std::chrono::milliseconds(500));
  EXPECT_EQ(ParseDurationText("2s"), std::chrono::seconds(2));
  EXPECT_EQ(ParseDurationText("1m"), std::chrono::minutes(1));
  EXPECT_EQ(ParseDurationText("168h"), std::chrono::hours(168));
  EXPECT_EQ(ParseDurationText("0s"), std::chrono::milliseconds(0));
  EXPECT_EQ(ParseDurationText("1h30m"), std::chrono::minutes(90));
  EXPECT_EQ(ParseDurationText("1.5s"), std::chrono::milliseconds(1'500));
  EXPECT_EQ(ParseDurationText("4294967295h"),
            std::chrono::hours(4'294'967'295));
}

TEST(DurationText, IsNothingElse) {
  for (const char* text :
       {"", "0", "5", "s", "ms", "-1s", "+1s", "1 s", " 1s", "1s ", "1S",
        "1sec", "1d", "1us", "1.5ms", "inf", "99999999999999999999s"}) {
    EXPECT_EQ(ParseDurationText(text), std::nullopt) << text;
  }
}

TEST(DurationText, IsWrittenAsItIsRead) {
  for (const char* text : {"0s", "500ms", "1m", "1h30m", "168h"}) {
    EXPECT_EQ(FormatDurationText(ParseDurationText(text).value()), text);
  }
}

}  // namespace
}  // namespace heapsync
