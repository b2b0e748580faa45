#include "server/log/log.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

// The text that Log() writes for these fields.
std::string Written(absl::string_view message, LogFields fields) {
  ::testing::internal::CaptureStderr();
  Log(LogSeverity::kWarning, message, fields);
  EXPECT_TRUE(FlushLog());
  return ::testing::internal::GetCapturedStderr();
}

TEST(LogTest, ALineIsTimeSeverityMessageAndFieldsInTheirOrder) {
  const std::string line = Written("order", {{"z", 1}, {"a", 2}});
  EXPECT_THAT(line, StartsWith("{\"time\":\"20"));
  EXPECT_THAT(line, HasSubstr("Z\",\"severity\":\"WARNING\","
                              "\"message\":\"order\",\"z\":1,\"a\":2}\n"));
}

TEST(LogTest, AFieldKeepsItsKind) {
  const std::string text = "a string";
  const absl::string_view view = "a view";
  const auto line = nlohmann::json::parse(
      Written("kinds", {{"boolean", true},
                        {"least", std::numeric_limits<int64_t>::min()},
                        {"greatest", std::numeric_limits<uint64_t>::max()},
                        {"small", uint16_t{65'535}},
                        {"literal", "a literal"},
                        {"string", text},
                        {"temporary", std::string("a temporary string")},
                        {"view", view},
                        {"empty", ""}}));
  EXPECT_EQ(line["boolean"], true);
  EXPECT_EQ(line["least"], std::numeric_limits<int64_t>::min());
  EXPECT_EQ(line["greatest"], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(line["small"], 65'535);
  EXPECT_EQ(line["literal"], "a literal");
  EXPECT_EQ(line["string"], "a string");
  EXPECT_EQ(line["temporary"], "a temporary string");
  EXPECT_EQ(line["view"], "a view");
  EXPECT_EQ(line["empty"], "");
}

TEST(LogTest, AnOptionalFieldIsItsValueOrNull) {
  const auto line = nlohmann::json::parse(
      Written("optional", {{"number", std::optional<int64_t>(7)},
                           {"text", std::optional<std::string>("seven")},
                           {"no_number", std::optional<int64_t>()},
                           {"no_text", std::optional<std::string>()}}));
  EXPECT_EQ(line["number"], 7);
  EXPECT_EQ(line["text"], "seven");
  EXPECT_TRUE(line.at("no_number").is_null());
  EXPECT_TRUE(line.at("no_text").is_null());
}

TEST(LogTest, TextIsTruncatedTo2KiB) {
  const auto line = nlohmann::json::parse(
      Written("text", {{"text", std::string(3'000, 'x')}, {"after", 1}}));
  EXPECT_THAT(line["text"].get<std::string>(), SizeIs(2'048));
  EXPECT_EQ(line["after"], 1);
}

TEST(LogTest, ALineBeyond8KiBLosesItsFields) {
  // Escaped, each byte becomes six.
  const std::string text(2'000, '\x01');
  const std::string written = Written("long", {{"text", text}, {"after", 1}});
  const auto line = nlohmann::json::parse(written);
  EXPECT_EQ(line["message"], "long");
  EXPECT_EQ(line["cut"], true);
  EXPECT_FALSE(line.contains("text"));
  EXPECT_FALSE(line.contains("after"));
}

TEST(LogTest, TextThatIsNotUtf8IsReplacedAndControlCharactersAreEscaped) {
  const std::string written =
      Written("bytes", {{"text", "\n\x1b[31m\xc2\x9b\xff"}});
  EXPECT_THAT(written, HasSubstr("\"\\n\\u001b[31m\\u009b\\ufffd\"}\n"));
}

}  // namespace
}  // namespace heapsync
