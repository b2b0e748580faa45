#include "client/cli/cursor_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/client/temporary_folder.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;

class CursorFileTest : public ::testing::Test {
 protected:
  CursorFile Open() {
    absl::StatusOr<CursorFile> file = CursorFile::Open(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.File("state");
  const CursorState state_{.value = "2024-01-15 10:30:00.5",
                           .options = {{"type", "user"}}};
};

TEST_F(CursorFileTest, ANewFileHasNoState) {
  EXPECT_EQ(Open().state(), std::nullopt);
}

TEST_F(CursorFileTest, TheStateIsReadBack) {
  ASSERT_TRUE(Open().Save(state_).ok());
  EXPECT_EQ(Open().state(), state_);
}

TEST_F(CursorFileTest, OnlyTheOwnerReadsIt) {
  ASSERT_TRUE(Open().Save(state_).ok());
  EXPECT_EQ(
      std::filesystem::status(path_).permissions(),
      std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(CursorFileTest, TwoRunsAtOnceAreRefused) {
  const CursorFile first = Open();
  const absl::StatusOr<CursorFile> second = CursorFile::Open(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
}

TEST_F(CursorFileTest, AFileOfSomethingElseIsRefused) {
  std::ofstream(path_) << "{\"heapsync_import_state\": 1}";
  EXPECT_TRUE(absl::IsDataLoss(CursorFile::Open(path_).status()));
}

TEST_F(CursorFileTest, ChangedOptionsAreNamed) {
  EXPECT_TRUE(CheckSameOptions(state_, {{"type", "user"}}).ok());
  EXPECT_THAT(CheckSameOptions(state_, {{"type", "track"}}).message(),
              HasSubstr("--type has changed"));
}

}  // namespace
}  // namespace heapsync
