#include "heap_adapter/spool/disk_space.h"

#include <sys/statvfs.h>

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace heapsync {
namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

uint64_t FreeBytes() {
  struct statvfs room {};
  EXPECT_EQ(statvfs("/tmp", &room), 0);
  return static_cast<uint64_t>(room.f_bavail) * room.f_frsize;
}

TEST(DiskSpaceTest, WithoutAFolderThereIsAlwaysSpace) {
  const DiskSpace disk("", kHuge);
  EXPECT_FALSE(disk.NearlyFull());
  EXPECT_FALSE(disk.Short());
}

TEST(DiskSpaceTest, IsNearlyFullBelowTheMinimum) {
  EXPECT_FALSE(DiskSpace("/tmp", 0).NearlyFull());
  EXPECT_TRUE(DiskSpace("/tmp", kHuge).NearlyFull());
}

// Others may write there meanwhile, but not an eighth of what is free.
TEST(DiskSpaceTest, IsShortBelowThreeQuartersOfTheMinimum) {
  const uint64_t free = FreeBytes();
  const DiskSpace nearly_full("/tmp", free / 8 * 9);
  EXPECT_TRUE(nearly_full.NearlyFull());
  EXPECT_FALSE(nearly_full.Short());
  EXPECT_TRUE(DiskSpace("/tmp", free * 2).Short());
}

TEST(DiskSpaceTest, AFolderThatIsGoneIsNotTakenForFull) {
  EXPECT_FALSE(DiskSpace("/nowhere/at/all", kHuge).NearlyFull());
}

}  // namespace
}  // namespace heapsync
