// Lines of gRPC and protobuf, as they stand in the log.

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/log/log.h"
#include "server/net/library_logs.h"

namespace heapsync {
namespace {

using ::testing::Le;
using ::testing::SizeIs;

class LogLibraryLinesTest : public ::testing::Test {
 protected:
  LogLibraryLinesTest() {
    CaptureLibraryLogs();
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
    ::testing::internal::CaptureStderr();
  }

  // What was written since the start, parsed line by line.
  static std::vector<nlohmann::json> Lines() {
    EXPECT_TRUE(FlushLog());
    std::vector<nlohmann::json> lines;
    for (absl::string_view line :
         absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n',
                        absl::SkipEmpty())) {
      lines.push_back(nlohmann::json::parse(line.begin(), line.end()));
    }
    return lines;
  }
};

TEST_F(LogLibraryLinesTest, ALineBreakAndAnEscapeStayInsideOneLine) {
  const std::string text = "a\n{\"severity\":\"ERROR\"}\x1b[31m\xc2\x9b\xff";
  gpr_log("/src/core/chttp2.cc", 12, GPR_LOG_SEVERITY_ERROR, "%s",
          text.c_str());
  const std::vector<nlohmann::json> lines = Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["severity"], "WARNING");
  EXPECT_EQ(lines[0]["message"], "gRPC chttp2.cc:12");
  EXPECT_EQ(lines[0]["text"],
            "a\n{\"severity\":\"ERROR\"}\x1b[31m\xc2\x9b\xef\xbf\xbd");
}

TEST_F(LogLibraryLinesTest, NoControlCharacterIsWrittenRaw) {
  gpr_log("a.cc", 1, GPR_LOG_SEVERITY_ERROR, "%s",
          "\x1b[31m \x7f \xc2\x85 \xc2\x9b \xe2\x80\xa8 \r");
  ASSERT_TRUE(FlushLog());
  std::string text = ::testing::internal::GetCapturedStderr();
  ASSERT_EQ(text.back(), '\n');
  text.pop_back();
  for (const char c : text) EXPECT_TRUE(c >= ' ' && c <= '~') << text;
}

TEST_F(LogLibraryLinesTest, MetadataIsLoggedWithoutItsValue) {
  gpr_log("a.cc", 2, GPR_LOG_SEVERITY_ERROR,
          "Error parsing metadata: error=invalid value key=te value=secret");
  const std::vector<nlohmann::json> lines = Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["text"],
            "Error parsing metadata: error=invalid value key=te");
}

TEST_F(LogLibraryLinesTest, AFloodIsSuppressedAndCounted) {
  constexpr int kFlood = 1'000;
  for (int i = 0; i < kFlood; ++i) {
    gpr_log("a.cc", 3, GPR_LOG_SEVERITY_ERROR, "once too often");
  }
  // Suppressed lines are reported when their second is over.
  uint64_t written = 0;
  uint64_t suppressed = 0;
  while (written + suppressed < kFlood) {
    LogSuppressedCounts();
    for (const nlohmann::json& line : Lines()) {
      EXPECT_EQ(line["message"], "gRPC a.cc:3");
      line.contains("held_back")
          ? suppressed += line["held_back"].get<uint64_t>()
          : ++written;
    }
    ::testing::internal::CaptureStderr();
  }
  ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(written + suppressed, kFlood);
  // The flood may last over the end of a few seconds on a busy machine.
  EXPECT_THAT(written, Le(100));
}

TEST_F(LogLibraryLinesTest, ProtobufIsLoggedToo) {
  GOOGLE_LOG(ERROR) << "field contains\ninvalid UTF-8";
  GOOGLE_LOG(INFO) << "hello";
  const std::vector<nlohmann::json> lines = Lines();
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0]["severity"], "WARNING");
  EXPECT_EQ(lines[0]["text"], "field contains\ninvalid UTF-8");
  EXPECT_EQ(lines[1]["severity"], "INFO");
}

}  // namespace
}  // namespace heapsync
