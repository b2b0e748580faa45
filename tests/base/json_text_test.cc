#include "base/json_text.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

std::string Escaped(absl::string_view raw) {
  std::string json;
  EXPECT_TRUE(AppendJsonText(raw, json).has_value());
  return json;
}

std::string Number(double number) {
  std::string json;
  AppendJsonNumber(number, json);
  return json;
}

std::optional<size_t> Units(absl::string_view raw) {
  std::string json;
  const std::optional<size_t> units = AppendJsonText(raw, json);
  EXPECT_EQ(units, CountUtf16Units(raw));
  return units;
}

TEST(JsonTextTest, LeavesPlainTextAsItIs) {
  EXPECT_EQ(Escaped(""), "");
  EXPECT_EQ(Escaped("a/b <c> & 'd' \x7f"), "a/b <c> & 'd' \x7f");
  EXPECT_EQ(Escaped("Größe € 😀"), "Größe € 😀");
}

TEST(JsonTextTest, EscapesQuotesBackslashesAndControlCharacters) {
  EXPECT_EQ(Escaped("say \"hi\""), "say \\\"hi\\\"");
  EXPECT_EQ(Escaped("C:\\temp"), "C:\\\\temp");
  EXPECT_EQ(Escaped("a\nb\rc\td"), "a\\nb\\rc\\td");
  EXPECT_EQ(Escaped(absl::string_view("\0\x01\x1f", 3)),
            "\\u0000\\u0001\\u001f");
}

TEST(JsonTextTest, EscapesTheLineEndsOfJavaScript) {
  EXPECT_EQ(Escaped("a\u2028b\u2029c\u202ad"), "a\\u2028b\\u2029c\u202ad");
}

TEST(JsonTextTest, FindsWhatNeedsAnEscapeAtEveryPlace) {
  for (size_t size = 1; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const char c : {'"', '\\', '\x1f', '\0'}) {
        std::string raw(size, 'x');
        raw[at] = c;
        const std::string json = "\"" + Escaped(raw) + "\"";
        EXPECT_EQ(nlohmann::json::parse(json).get<std::string>(), raw);
      }
    }
  }
}

TEST(JsonTextTest, CountsUtf16Units) {
  EXPECT_EQ(Units(""), 0u);
  EXPECT_EQ(Units("abc"), 3u);
  EXPECT_EQ(Units("äöü"), 3u);
  EXPECT_EQ(Units("€"), 1u);
  EXPECT_EQ(Units("😀"), 2u);
  EXPECT_EQ(Units("a\"\n\u2028€😀z"), 8u);
}

TEST(JsonTextTest, RefusesWhatIsNotUtf8) {
  for (const absl::string_view bad :
       {"\x80", "\xff", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82",
        "\xf0\x9f\x98", "\xc3(", "\xe2\x28\xa1", "\xf0\x9f\x98\x28"}) {
    for (const std::string before : {"", "plain", "ä", "\n"}) {
      EXPECT_EQ(Units(before + std::string(bad)), std::nullopt);
      EXPECT_EQ(Units(before + std::string(bad) + " and more text"),
                std::nullopt);
    }
  }
}

TEST(JsonTextTest, TakesTheFirstAndLastCharacterOfEachLength) {
  for (const absl::string_view good :
       {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(Units(good).has_value());
    EXPECT_EQ(Utf8CharacterLength(good), good.size());
  }
}

TEST(JsonTextTest, WritesWholeNumbersAsDigitsOnly) {
  EXPECT_EQ(Number(0), "0");
  EXPECT_EQ(Number(-0.0), "0");
  EXPECT_EQ(Number(3), "3");
  EXPECT_EQ(Number(-150000), "-150000");
  EXPECT_EQ(Number(100000000000000), "100000000000000");
  EXPECT_EQ(Number(9007199254740991), "9007199254740991");
  EXPECT_EQ(Number(-9007199254740991), "-9007199254740991");
}

TEST(JsonTextTest, WritesTheShortestFraction) {
  EXPECT_EQ(Number(49.99), "49.99");
  EXPECT_EQ(Number(0.1), "0.1");
  EXPECT_EQ(Number(-2.5), "-2.5");
  EXPECT_EQ(Number(0.1 + 0.2), "0.30000000000000004");
}

TEST(JsonTextTest, NumbersReadBackExactly) {
  std::mt19937_64 random(20240115);
  for (int i = 0; i < 20'000; ++i) {
    const double number =
        std::ldexp(static_cast<double>(static_cast<int64_t>(random())),
                   std::uniform_int_distribution<int>(-1100, -11)(random));
    const std::string text = Number(number);
    EXPECT_EQ(std::strtod(text.c_str(), nullptr), number) << text;
    EXPECT_EQ(nlohmann::json::parse(text).get<double>(), number) << text;
  }
  const double least = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(std::strtod(Number(least).c_str(), nullptr), least);
}

}  // namespace
}  // namespace heapsync
