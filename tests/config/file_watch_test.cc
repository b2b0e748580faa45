#include "server/config/file_watch.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

class FileWatchTest : public testing::Test {
 protected:
  ~FileWatchTest() override { std::remove(path_.c_str()); }

  void Write(const std::string& text) { std::ofstream(path_) << text; }
  // As mounted secrets change.
  void Exchange(const std::string& text) {
    const std::string part = path_ + ".part";
    std::ofstream(part) << text;
    ASSERT_EQ(std::rename(part.c_str(), path_.c_str()), 0);
  }
  WatchedFile Read() const { return {.path = path_, .stamp = StampOf(path_)}; }

  const std::string path_ = absl::StrCat(
      testing::TempDir(), "heapsync_file_watch_", getpid(), ".json");
};

TEST_F(FileWatchTest, TellsOnceOfEachChange) {
  Write("one");
  FileWatch watch({Read()});
  EXPECT_FALSE(watch.Changed());
  Write("two, longer");
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Changed());
  Exchange("two, longer");
  EXPECT_TRUE(watch.Changed());
  std::remove(path_.c_str());
  EXPECT_TRUE(watch.Changed());
  EXPECT_FALSE(watch.Changed());
}

TEST_F(FileWatchTest, NoticesWhatChangedBetweenTheReadingAndTheWatch) {
  Write("one");
  const WatchedFile read = Read();
  Exchange("two");
  EXPECT_TRUE(FileWatch({read}).Changed());
}

}  // namespace
}  // namespace heapsync
