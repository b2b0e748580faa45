#include "client/cli/json_struct.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

std::string Json(const google::protobuf::Message& message) {
  std::string text;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &text).ok());
  return nlohmann::json::parse(text).dump();  // with sorted keys
}

std::string Parse(absl::string_view text,
                  ValueTyping typing = ValueTyping::kTyped) {
  const auto parsed = ParseJsonObject(text, typing);
  return parsed.ok() ? Json(*parsed) : std::string(parsed.status().message());
}

std::string Cell(absl::string_view cell) {
  return Json(CellValue(cell, ValueTyping::kTyped));
}

TEST(JsonStructTest, KeepsEveryKindOfValue) {
  EXPECT_EQ(Parse(R"({"a":{"b":[1,"x",[true],{"c":null}]}})"),
            R"({"a":{"b":[1,"x",[true],{"c":null}]}})");
  EXPECT_EQ(Parse(R"({"e":-2.5e3})"), R"({"e":-2500})");
  EXPECT_EQ(Parse("{}"), "{}");
}

TEST(JsonStructTest, WholeNumbersBeyondTheExactRangeBecomeStrings) {
  EXPECT_EQ(Parse(R"({"a":9007199254740991})"), R"({"a":9007199254740991})");
  EXPECT_EQ(Parse(R"({"a":9007199254740992})"), R"({"a":"9007199254740992"})");
  EXPECT_EQ(Parse(R"({"a":9007199254740993})"), R"({"a":"9007199254740993"})");
  EXPECT_EQ(Parse(R"({"a":-9007199254740993})"),
            R"({"a":"-9007199254740993"})");
  EXPECT_EQ(Parse(R"({"a":123456789012345678901234567890})"),
            R"({"a":"123456789012345678901234567890"})");
}

TEST(JsonStructTest, AKeyThatComesTwiceInOneObjectIsRefused) {
  for (const char* text : {R"({"a":1,"a":2})", R"({"a":1,"b":{"c":1,"c":1}})",
                           R"({"a":[],"a":{}})", R"({"a":1,"\u0061":2})",
                           R"({"a":[{"b":1,"b":2}]})"}) {
    EXPECT_THAT(std::string(ParseJsonObject(text).status().message()),
                testing::HasSubstr("a key comes twice"))
        << text;
  }
  EXPECT_TRUE(ParseJsonObject(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})").ok());
}

TEST(JsonStructTest, AsStringsKeepsTheTextOfNumbers) {
  EXPECT_EQ(Parse(R"({"a":1.50,"b":true,"c":7})", ValueTyping::kStrings),
            R"({"a":"1.50","b":"true","c":"7"})");
}

TEST(JsonStructTest, SaysWhereJsonIsBrokenButNotWhatItHolds) {
  EXPECT_EQ(Parse(R"({"secret":)"), "not valid JSON at byte 11");
  EXPECT_EQ(Parse(R"({"a":1} x)"), "not valid JSON at byte 9");
  EXPECT_EQ(Parse("{'a':1}"), "not valid JSON at byte 2");
  EXPECT_EQ(Parse(R"({"a":NaN})"), "not valid JSON at byte 6");
  EXPECT_EQ(Parse(R"({"a":1e999})"), "a number is out of range near byte 10");
}

TEST(JsonStructTest, OnlyObjectsAreTaken) {
  EXPECT_EQ(Parse("[1]"), "not a JSON object");
  EXPECT_EQ(Parse("1"), "not a JSON object");
  EXPECT_EQ(Parse("null"), "not a JSON object");
}

TEST(JsonStructTest, DeepNestingIsRefused) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "{\"a\":";
  EXPECT_EQ(Parse(text), "nested deeper than 32");
}

TEST(CellValueTest, NumbersAndBooleansAreRecognised) {
  EXPECT_EQ(Cell("42"), "42");
  EXPECT_EQ(Cell("-0.5"), "-0.5");
  EXPECT_EQ(Cell("49.90"), "49.9");
  EXPECT_EQ(Cell("0"), "0");
  EXPECT_EQ(Cell("1.5e-07"), "1.5e-07");
  EXPECT_EQ(Cell("123456789012345"), "123456789012345");
  EXPECT_EQ(Cell("true"), "true");
  EXPECT_EQ(Cell("false"), "false");
}

TEST(CellValueTest, WhateverWouldLoseSomethingStaysText) {
  for (const char* text : {"007",
                           "+49",
                           "1234567890123456",
                           "0.1234567890123456",
                           "12E5",
                           "1e5",
                           "-0",
                           "1.",
                           ".5",
                           "1,5",
                           "0x10",
                           " 1",
                           "1 ",
                           "NaN",
                           "Infinity",
                           "True",
                           "TRUE",
                           "null",
                           "1e-400",
                           "1.0e999",
                           "--1",
                           "-",
                           "1.5e",
                           "2024-01-15",
                           "00",
                           "1.2.3"}) {
    EXPECT_EQ(Cell(text), "\"" + std::string(text) + "\"");
  }
}

TEST(CellValueTest, StringsModeTouchesNothing) {
  EXPECT_EQ(Json(CellValue("42", ValueTyping::kStrings)), "\"42\"");
  EXPECT_EQ(Json(CellValue("true", ValueTyping::kStrings)), "\"true\"");
}

}  // namespace
}  // namespace heapsync
