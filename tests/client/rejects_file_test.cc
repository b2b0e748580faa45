#include "client/cli/rejects_file.h"

#include <gtest/gtest.h>

#include "tests/client/temporary_folder.h"

namespace heapsync {
namespace {

constexpr char kLine[] =
    R"({"row":3,"line":5,"violations":[{"field":"event","reason":"REQUIRED","description":"missing"}],"raw":"a,\"ü\"\n"})";

RejectedRow Example() {
  return {.row = 3,
          .line = 5,
          .violations = {{"event", "REQUIRED", "missing"}},
          .raw = "a,\"ü\"\n"};
}

TEST(RejectsFileTest, ARowIsOneLineOfJson) {
  EXPECT_EQ(ToJsonLine(Example()), kLine);
}

TEST(RejectsFileTest, BytesThatAreNotUtf8SurviveInBase64) {
  EXPECT_EQ(ToJsonLine({.row = 1, .line = 1, .violations = {}, .raw = "\xFF"}),
            "{\"row\":1,\"line\":1,\"violations\":[],\"raw\":\"\xEF\xBF\xBD\","
            "\"raw_base64\":\"/w==\"}");
}

TEST(RejectsFileTest, GoesOnWhereTheStateSaysAndDropsWhatCameLater) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("rejects", "kept\nlater\n");
  auto file = RejectsFile::Open(path, 5);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Write(Example()).ok());
  ASSERT_TRUE(file->Sync().ok());
  const std::string expected = std::string("kept\n") + kLine + "\n";
  EXPECT_EQ(TemporaryFolder::Read(path), expected);
  EXPECT_EQ(file->bytes(), expected.size());
}

TEST(RejectsFileTest, AFileThatLostRowsIsAnError) {
  const TemporaryFolder folder;
  EXPECT_EQ(
      RejectsFile::Open(folder.Write("rejects", "abc"), 4).status().code(),
      absl::StatusCode::kDataLoss);
}

TEST(RejectsFileTest, WithoutAPathRowsVanish) {
  auto file = RejectsFile::Open("", 0);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->Write(Example()).ok());
  EXPECT_TRUE(file->Sync().ok());
}

}  // namespace
}  // namespace heapsync
