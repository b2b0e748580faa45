#include "heap_adapter/spool/rocksdb_repair.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/rocksdb_store.h"
#include "tests/spool/faulty_file_system.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RocksDbRepairTest : public ::testing::Test {
 protected:
  static constexpr int kEntries = 60;

  // A store whose first half lies in a sorted file, the rest in a log.
  RocksDbRepairTest() {
    Open();
    Put(0, kEntries / 2);
    Open();
    Put(kEntries / 2, kEntries);
    store_.reset();
  }

  void Open() {
    store_.reset();
    auto store =
        OpenRocksDbStore({.path = "/data/spool",
                          .env = env_.get(),
                          .on_damage = [this](const std::string& line) {
                            reports_.push_back(line);
                          }});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Put(int from, int to) {
    for (int i = from; i < to; ++i) {
      StoreBatch batch;
      batch.Put(KeyOf(i), std::string(500, static_cast<char>('a' + i % 26)));
      ASSERT_TRUE(store_->Write(batch, Durability::kDisk).ok());
    }
  }
  static std::string KeyOf(int i) { return absl::StrCat("key", 1'000 + i); }
  int Missing() {
    int missing = 0;
    for (int i = 0; i < kEntries; ++i) {
      const auto value = store_->Get(KeyOf(i));
      missing += value.ok() && value->has_value() ? 0 : 1;
    }
    return missing;
  }
  // Changes the bytes of the file whose name holds this.
  template <typename Change>
  void Damage(const std::string& part, Change change) {
    FaultyFileSystem::Files files = disk_.Snapshot();
    for (auto& [name, bytes] : files) {
      if (absl::StrContains(name, part)) change(bytes);
    }
    disk_.Restore(files);
  }
  bool HasFile(const std::string& part) {
    const FaultyFileSystem::Files files = disk_.Snapshot();
    return std::any_of(files.begin(), files.end(), [&](const auto& file) {
      return absl::StrContains(file.first, part);
    });
  }

  FaultyFileSystem disk_;
  std::unique_ptr<rocksdb::Env> env_ =
      rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(
          std::shared_ptr<rocksdb::FileSystem>(), &disk_));
  std::unique_ptr<Store> store_;
  std::vector<std::string> reports_;
};

TEST_F(RocksDbRepairTest, AStoreThatIsWellIsLeftAlone) {
  Open();
  EXPECT_EQ(Missing(), 0);
  EXPECT_THAT(reports_, IsEmpty());
  EXPECT_FALSE(HasFile(".damaged"));
}

TEST_F(RocksDbRepairTest, ADamagedCurrentCostsNothing) {
  Damage("CURRENT", [](std::string& bytes) { bytes = "MANIFEST-9\n"; });
  Open();
  EXPECT_EQ(Missing(), 0);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
  EXPECT_TRUE(HasFile(".damaged-"));
}

TEST_F(RocksDbRepairTest, AManifestCutAnywhereCostsNothing) {
  const FaultyFileSystem::Files before = disk_.Snapshot();
  size_t size = 0;
  Damage("MANIFEST", [&](std::string& bytes) { size = bytes.size(); });
  for (size_t cut = 0; cut < size; cut += 7) {
    SCOPED_TRACE(cut);
    disk_.Restore(before);
    Damage("MANIFEST", [&](std::string& bytes) {
      bytes.resize(std::min(cut, bytes.size()));
    });
    reports_.clear();
    Open();
    // A cut between two records leaves a MANIFEST that is well but old.
    EXPECT_TRUE(Missing() == 0 || reports_.empty());
    store_.reset();
  }
}

TEST_F(RocksDbRepairTest, DamageInTheMiddleOfTheLogCostsOnlyWhatItHit) {
  Damage(".log", [](std::string& bytes) { bytes[bytes.size() / 2] ^= 1; });
  Open();
  EXPECT_EQ(Missing(), 1);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("damaged"));
}

TEST_F(RocksDbRepairTest, ALengthThatPointsPastTheEndHidesNothing) {
  // The length of the first record, in front of all the others.
  Damage(".log", [](std::string& bytes) { bytes[5] = '\x7f'; });
  Open();
  EXPECT_EQ(Missing(), 1);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("damaged"));
}

TEST_F(RocksDbRepairTest, ADamagedTableIsReadAroundAtTheNextStart) {
  Damage(".sst", [](std::string& bytes) { bytes[bytes.size() / 4] ^= 1; });
  Open();
  EXPECT_GT(Missing(), 0);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("at the next start"));
  Open();
  // The rest of the entries lay in the log.
  EXPECT_LE(Missing(), kEntries / 2);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
  reports_.clear();
  Open();
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(RocksDbRepairTest, ACrashAtAnyMomentOfARepairIsRepaired) {
  Damage("CURRENT", [](std::string& bytes) { bytes = "MANIFEST-9\n"; });
  const FaultyFileSystem::Files damaged = disk_.Snapshot();
  const uint64_t begin = disk_.operations();
  Open();
  store_.reset();
  const uint64_t operations = disk_.operations() - begin;
  ASSERT_GT(operations, 20u);
  for (uint64_t n = 0; n < operations; ++n) {
    SCOPED_TRACE(n);
    disk_.Restore(damaged);
    disk_.FailAfter(n, DiskFault::kCrash);
    // It may fail, and mostly does.
    static_cast<void>(
        OpenRocksDbStore({.path = "/data/spool", .env = env_.get()}));
    disk_.CrashMachine();
    Open();
    EXPECT_EQ(Missing(), 0);
    store_.reset();
  }
}

TEST_F(RocksDbRepairTest, AStoreWithoutAnythingLeftBeginsAnew) {
  Damage("spool/", [](std::string& bytes) {
    std::fill(bytes.begin(), bytes.end(), '\x55');
  });
  Open();
  EXPECT_EQ(Missing(), kEntries);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
  Put(0, kEntries);
  EXPECT_EQ(Missing(), 0);
}

}  // namespace
}  // namespace heapsync
