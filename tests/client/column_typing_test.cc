#include "client/cli/column_typing.h"

#include <gtest/gtest.h>

#include <vector>

namespace heapsync {
namespace {

bool KeepsText(std::vector<absl::string_view> cells) {
  ColumnTyping typing;
  for (const absl::string_view cell : cells) typing.Observe(2, cell);
  EXPECT_FALSE(typing.KeepsText(0));
  EXPECT_FALSE(typing.KeepsText(3));
  return typing.KeepsText(2);
}

TEST(ColumnTypingTest, OneCellThatANumberWouldChangeKeepsTheColumnText) {
  EXPECT_TRUE(KeepsText({"1.1", "1.10"}));
  EXPECT_TRUE(KeepsText({"1.9", "1.10", "2"}));
  EXPECT_TRUE(KeepsText({"1", "1.0"}));
  EXPECT_TRUE(KeepsText({"10115", "01067"}));
  EXPECT_TRUE(KeepsText({"5", "+5"}));
  EXPECT_TRUE(KeepsText({"7", "12345678901234567890"}));
  EXPECT_TRUE(KeepsText({"12E5", "120"}));
}

TEST(ColumnTypingTest, NumbersAsProgramsWriteThemStayNumbers) {
  EXPECT_FALSE(KeepsText({}));
  EXPECT_FALSE(KeepsText({"1", "-20", "0", "300"}));
  EXPECT_FALSE(KeepsText({"9.90", "12.00", "-3.25"}));
  EXPECT_FALSE(KeepsText({"12.0", "3.25", "0.5"}));
  EXPECT_FALSE(KeepsText({"12", "3.5", "n/a", "", "v1.10", "1.2.10"}));
  EXPECT_FALSE(KeepsText({"1.5e-7", "2.25"}));
}

TEST(ColumnTypingTest, NamesOfVersionsAreKnown) {
  for (const char* name :
       {"version", "app_version", "appVersion", "Os Version", "SDK-VERSION",
        "ios.version", "firmware", "build", "release 2", "version_2"}) {
    EXPECT_TRUE(NamesVersions(name)) << name;
  }
  for (const char* name : {"", "amount", "conversion", "versioned", "released",
                           "buildings", "verified", "overall"}) {
    EXPECT_FALSE(NamesVersions(name)) << name;
  }
}

}  // namespace
}  // namespace heapsync
