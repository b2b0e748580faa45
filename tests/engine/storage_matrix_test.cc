// Every operation on the disk fails once in every way, and every byte of a
// small store is damaged once: what was promised is kept, or said to be lost.
//
// An ordinary run takes a part of all cases, another part for each value of
// HEAPSYNC_MATRIX_PART; HEAPSYNC_MATRIX=all takes all of them.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/storage_life.h"

namespace heapsync {
namespace {

using ::testing::IsEmpty;

constexpr int kChunksBefore = 6;
constexpr int kChunksAfter = 14;

// The cases of [0, count) that this run takes, about `ordinary` of them.
std::vector<uint64_t> Cases(uint64_t count, uint64_t ordinary) {
  const char* const all = std::getenv("HEAPSYNC_MATRIX");
  const char* const part_text = std::getenv("HEAPSYNC_MATRIX_PART");
  uint64_t part = 0;
  if (part_text != nullptr)
    static_cast<void>(absl::SimpleAtoi(part_text, &part));
  const bool take_all = all != nullptr && absl::string_view(all) == "all";
  const uint64_t step = take_all ? 1 : std::max<uint64_t>(1, count / ordinary);
  std::vector<uint64_t> cases;
  for (uint64_t i = part % step; i < count; i += step) cases.push_back(i);
  return cases;
}

struct Sums {
  uint64_t acknowledged = 0;
  uint64_t redelivered = 0;
  int cases = 0;
  int faults = 0;  // cases whose fault was met
  int failures = 0;
};

// When the fault may come.
enum class Window {
  kWrites,   // while the log is written
  kFlushes,  // and while what is in memory becomes files
  kStart,    // while a store is opened and its logs become files
};

// Lives until the window, and through it with what `arm` does before it.
template <typename Arm>
void LiveThrough(StorageLife& life, Window window, Arm arm) {
  life.Live(kChunksBefore);
  if (window == Window::kStart) {
    life.Live(kChunksAfter);
    life.EndMachine();
    arm();
    life.Start();
  } else {
    arm();
    life.Live(kChunksAfter);
  }
}

size_t PaddingOf(Window window) { return window == Window::kWrites ? 0 : 900; }

// Number of disk operations during which the fault may occur.
uint64_t CountOperations(uint64_t seed, Window window) {
  StorageLife life(seed, PaddingOf(window));
  uint64_t before = 0;
  LiveThrough(life, window, [&] { before = life.disk().operations(); });
  return life.disk().operations() - before;
}

// Lives with the fault at each operation, restarts with it, and ends the
// machine before everything drains.
Sums FailAtEachOperation(uint64_t seed, DiskFault fault, Window window,
                         uint64_t ordinary) {
  Sums sums;
  for (const uint64_t n : Cases(CountOperations(seed, window), ordinary)) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", operation ", n));
    StorageLife life(seed, PaddingOf(window));
    LiveThrough(life, window, [&] { life.disk().FailAfter(n, fault); });
    sums.faults += life.disk().failed() ? 1 : 0;
    life.disk().Heal();
    life.EndMachine();
    life.Start();
    life.Drain();
    const StorageLife::Judgement judgement = life.Judge();
    EXPECT_THAT(judgement.broken, IsEmpty());
    EXPECT_EQ(judgement.lost, 0u);
    EXPECT_EQ(judgement.damaged, 0u);
    EXPECT_EQ(judgement.outdated, 0u);
    sums.acknowledged += life.acknowledged();
    sums.redelivered += life.redelivered();
    sums.failures += life.failures();
    ++sums.cases;
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(sums.acknowledged, 30u * static_cast<unsigned>(sums.cases));
  EXPECT_GT(sums.redelivered, static_cast<unsigned>(sums.cases) / 2);
  EXPECT_GT(sums.faults, sums.cases / 2);
  std::cout << absl::StrCat(sums.cases, " cases, ", sums.acknowledged,
                            " items acknowledged, ", sums.redelivered,
                            " redelivered, ", sums.failures, " failures\n");
  return sums;
}

TEST(StorageMatrixTest, AnErrorAtAnyOperationLosesNothing) {
  const Sums sums =
      FailAtEachOperation(3, DiskFault::kError, Window::kWrites, 150);
  EXPECT_GT(sums.failures, sums.cases / 2);
}

TEST(StorageMatrixTest, AWriteThatIsCutShortLosesNothing) {
  FailAtEachOperation(4, DiskFault::kShortWrite, Window::kWrites, 150);
}

TEST(StorageMatrixTest, ACrashAfterAnyOperationLosesNothing) {
  const Sums sums =
      FailAtEachOperation(5, DiskFault::kCrash, Window::kWrites, 150);
  EXPECT_GT(sums.failures, sums.cases / 2);
}

TEST(StorageMatrixTest, AFullDiskAtAnyOperationLosesNothingAndNeedsNoRestart) {
  constexpr uint64_t kSeed = 6;
  Sums sums;
  uint64_t refused = 0;
  for (const uint64_t n : Cases(CountOperations(kSeed, Window::kWrites), 150)) {
    SCOPED_TRACE(absl::StrCat("operation ", n));
    StorageLife life(kSeed);
    life.Live(kChunksBefore);
    life.disk().FailAfter(n, DiskFault::kNoSpace);
    life.Live(kChunksAfter);
    sums.faults += life.disk().failed() ? 1 : 0;
    refused += life.refused();
    life.disk().Heal();
    life.Live(2);
    EXPECT_EQ(life.failures(), 0);
    life.EndMachine();
    life.Start();
    life.Drain();
    const StorageLife::Judgement judgement = life.Judge();
    EXPECT_THAT(judgement.broken, IsEmpty());
    EXPECT_EQ(judgement.lost, 0u);
    EXPECT_EQ(judgement.outdated, 0u);
    sums.acknowledged += life.acknowledged();
    ++sums.cases;
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(sums.faults, sums.cases / 2);
  EXPECT_GT(sums.acknowledged, 30u * static_cast<unsigned>(sums.cases));
  EXPECT_GT(refused, static_cast<unsigned>(sums.cases));
}

TEST(StorageMatrixTest, AnyFaultWhileMemoryBecomesFilesLosesNothing) {
  FailAtEachOperation(7, DiskFault::kError, Window::kFlushes, 8);
  FailAtEachOperation(8, DiskFault::kShortWrite, Window::kFlushes, 8);
  FailAtEachOperation(9, DiskFault::kCrash, Window::kFlushes, 16);
}

TEST(StorageMatrixTest, AStartRenamesAndDeletesFiles) {
  StorageLife life(10, PaddingOf(Window::kStart));
  uint64_t renames = 0;
  uint64_t deletions = 0;
  LiveThrough(life, Window::kStart, [&] {
    renames = life.disk().renames();
    deletions = life.disk().deletions();
  });
  EXPECT_GT(life.disk().renames(), renames);
  EXPECT_GT(life.disk().deletions(), deletions);
}

TEST(StorageMatrixTest, AnyFaultDuringAStartLosesNothing) {
  for (const DiskFault fault : {DiskFault::kError, DiskFault::kShortWrite,
                                DiskFault::kNoSpace, DiskFault::kCrash}) {
    FailAtEachOperation(10, fault, Window::kStart, 20);
  }
}

// A store with everything in it: sorted files, a log, items that wait, that are
// deferred, and that are dead.
void LiveForDamage(StorageLife& life) {
  life.Live(8);
  life.EndProcess();
  life.Start();
  life.Live(6);
  life.EndProcess();
}

struct DamageSums {
  uint64_t acknowledged = 0;
  uint64_t lost = 0;
  uint64_t damaged = 0;
  int cases = 0;
  int with_loss = 0;
};

enum class Damage { kFlippedBit, kCut, kZeroedPage };

// Damages the file that ends so at each offset.
DamageSums DamageAtEachOffset(const std::string& name_part, Damage damage,
                              uint64_t ordinary) {
  DamageSums sums;
  constexpr uint64_t kSeed = 11;
  uint64_t size = 0;
  {
    StorageLife life(kSeed);
    LiveForDamage(life);
    for (const auto& [name, bytes] : life.disk().Snapshot()) {
      if (absl::StrContains(name, name_part)) size += bytes.size();
    }
  }
  for (const uint64_t at : Cases(size, ordinary)) {
    SCOPED_TRACE(absl::StrCat(name_part, " at ", at));
    StorageLife life(kSeed);
    LiveForDamage(life);
    FaultyFileSystem::Files files = life.disk().Snapshot();
    uint64_t offset = at;
    bool is_end = false;
    for (auto& [name, bytes] : files) {
      if (!absl::StrContains(name, name_part)) continue;
      if (offset >= bytes.size()) {
        offset -= bytes.size();
        continue;
      }
      switch (damage) {
        case Damage::kFlippedBit:
          bytes[offset] = static_cast<char>(bytes[offset] ^ (1 << (at % 8)));
          break;
        case Damage::kCut:
          bytes.resize(offset);
          break;
        case Damage::kZeroedPage:
          std::fill_n(bytes.begin() + static_cast<int64_t>(offset),
                      std::min<size_t>(512, bytes.size() - offset), '\0');
          break;
      }
      is_end = damage == Damage::kCut;
      break;
    }
    life.disk().Restore(files);
    life.Start();
    life.Drain();
    // Damage found by reads while it ran is repaired at the next start.
    life.EndProcess();
    life.Start();
    life.Drain();
    const StorageLife::Judgement judgement = life.Judge();
    EXPECT_THAT(judgement.broken, IsEmpty());
    EXPECT_EQ(life.failures(), 0);
    if (judgement.lost > 0 || judgement.outdated > 0) {
      ++sums.with_loss;
      // A file that is cut may look as after a crash, where nothing is missing.
      if (!is_end) {
        EXPECT_TRUE(judgement.damaged > 0 || !life.reports().empty())
            << judgement.lost << " items are lost, and nobody is told";
      }
    }
    sums.acknowledged += life.acknowledged();
    sums.lost += judgement.lost;
    sums.damaged += judgement.damaged;
    ++sums.cases;
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << absl::StrJoin(life.reports(), "\n");
      break;
    }
  }
  EXPECT_GT(sums.acknowledged, 30u * static_cast<unsigned>(sums.cases));
  testing::Test::RecordProperty(
      "summary",
      absl::StrCat(sums.cases, " cases, ", sums.with_loss, " with loss, ",
                   sums.lost, " of ", sums.acknowledged, " items"));
  return sums;
}

class DamageTest : public testing::TestWithParam<std::string> {};

TEST_P(DamageTest, AFlippedBitIsReportedAndSurvived) {
  DamageAtEachOffset(GetParam(), Damage::kFlippedBit, 120);
}

TEST_P(DamageTest, ACutFileIsSurvived) {
  DamageAtEachOffset(GetParam(), Damage::kCut, 40);
}

TEST_P(DamageTest, AZeroedPageIsReportedAndSurvived) {
  DamageAtEachOffset(GetParam(), Damage::kZeroedPage, 40);
}

INSTANTIATE_TEST_SUITE_P(AllFiles, DamageTest,
                         testing::Values(".log", ".sst", "MANIFEST", "CURRENT",
                                         "OPTIONS", "IDENTITY"),
                         [](const auto& file) {
                           std::string name = file.param;
                           std::erase(name, '.');
                           return name;
                         });

}  // namespace
}  // namespace heapsync
