#include "heap_adapter/spool/rocksdb/repair.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "tests/spool/rocksdb/faulty_file_system.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The name of the largest log.
std::string LogOf(const FaultyFileSystem::Files& files) {
  std::string largest;
  for (const auto& [name, bytes] : files) {
    if (absl::EndsWith(name, ".log") &&
        (largest.empty() || bytes.size() > files.at(largest).size())) {
      largest = name;
    }
  }
  return largest;
}

// A store on a disk that fails on command.
class StoreOnFaultyDisk : public ::testing::Test {
 protected:
  explicit StoreOnFaultyDisk(size_t write_buffer_bytes)
      : write_buffer_bytes_(write_buffer_bytes) {}

  void Open() {
    store_.reset();
    auto store =
        OpenRocksDbStore({.path = "/data/spool",
                          .write_buffer_bytes = write_buffer_bytes_,
                          .env = env_.get(),
                          .on_damage = [this](const std::string& line) {
                            reports_.push_back(line);
                          }});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  const size_t write_buffer_bytes_;
  FaultyFileSystem disk_;
  std::unique_ptr<rocksdb::Env> env_ =
      rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(
          std::shared_ptr<rocksdb::FileSystem>(), &disk_));
  std::unique_ptr<Store> store_;
  std::vector<std::string> reports_;
};

class RocksDbRepairTest : public StoreOnFaultyDisk {
 protected:
  static constexpr int kEntries = 60;

  // A store with its first half in a sorted file and the rest in a log.
  RocksDbRepairTest() : StoreOnFaultyDisk(16 << 20) {
    Open();
    Put(0, kEntries / 2);
    Open();
    Put(kEntries / 2, kEntries);
    store_.reset();
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
  // Changes the bytes of the file whose name contains this.
  template <typename Change>
  void Damage(const std::string& part, Change change) {
    FaultyFileSystem::Files files = disk_.Snapshot();
    for (auto& [name, bytes] : files) {
      if (absl::StrContains(name, part)) change(bytes);
    }
    disk_.Restore(files);
  }
  // Folders with the original files of the store, kept by a repair.
  int CopiesKept() {
    std::set<std::string> folders;
    for (const auto& [name, bytes] : disk_.Snapshot()) {
      if (absl::StrContains(name, ".damaged-")) {
        folders.insert(name.substr(0, name.rfind('/')));
      }
    }
    return static_cast<int>(folders.size());
  }
  bool HasFile(const std::string& part) {
    const FaultyFileSystem::Files files = disk_.Snapshot();
    return std::any_of(files.begin(), files.end(), [&](const auto& file) {
      return absl::StrContains(file.first, part);
    });
  }
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
    // A cut between two records leaves a MANIFEST that is intact but old.
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
  // The length of the first record, before all others.
  Damage(".log", [](std::string& bytes) { bytes[5] = '\x7f'; });
  Open();
  EXPECT_EQ(Missing(), 1);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("damaged"));
}

TEST_F(RocksDbRepairTest, ABadSectorOfTheLogCostsWhatLiesInIt) {
  disk_.FailReads(LogOf(disk_.Snapshot()), 4'096, 8'192);
  Open();
  // A sector has about eight entries; two more reach into it.
  EXPECT_GT(Missing(), 0);
  EXPECT_LE(Missing(), 10);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
}

TEST_F(RocksDbRepairTest, ABadSectorAtTheEndOfTheLogIsNoTornWrite) {
  const FaultyFileSystem::Files files = disk_.Snapshot();
  const std::string log = LogOf(files);
  disk_.FailReads(log, files.at(log).size() - 100, files.at(log).size());
  Open();
  EXPECT_LE(Missing(), 10);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
}

TEST_F(RocksDbRepairTest, AFileThatCannotBeReadNowIsNotGivenUp) {
  for (const char* file : {".log", "MANIFEST", "CURRENT"}) {
    SCOPED_TRACE(file);
    disk_.FailReads(file, 0, 1 << 30);
    const auto store =
        OpenRocksDbStore({.path = "/data/spool", .env = env_.get()});
    EXPECT_FALSE(store.ok());
    EXPECT_FALSE(HasFile(".damaged"));
  }
  disk_.Heal();
  Open();
  EXPECT_EQ(Missing(), 0);
}

TEST_F(RocksDbRepairTest, ADamagedTableIsReadAroundAtTheNextStart) {
  Damage(".sst", [](std::string& bytes) { bytes[bytes.size() / 4] ^= 1; });
  Open();
  EXPECT_GT(Missing(), 0);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("at the next start"));
  Open();
  // The rest of the entries were in the log.
  EXPECT_LE(Missing(), kEntries / 2);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
  reports_.clear();
  Open();
  EXPECT_THAT(reports_, IsEmpty());
}

TEST_F(RocksDbRepairTest, ATableThatCannotBeReadNowIsNotGivenUp) {
  Damage("CURRENT", [](std::string& bytes) { bytes = "MANIFEST-9\n"; });
  // By its full name, so that the files of the repair can be read.
  for (const auto& [name, bytes] : disk_.Snapshot()) {
    if (absl::EndsWith(name, ".sst")) disk_.FailReads(name, 0, 1 << 30);
  }
  EXPECT_FALSE(
      OpenRocksDbStore({.path = "/data/spool", .env = env_.get()}).ok());
  EXPECT_FALSE(HasFile(".damaged-"));
  EXPECT_FALSE(HasFile(".repair"));
  disk_.Heal();
  Open();
  EXPECT_EQ(Missing(), 0);
}

TEST_F(RocksDbRepairTest, ABadSectorOfATableIsReadAroundAtTheNextStart) {
  Open();
  disk_.FailReads(".sst", 0, 4'096);
  EXPECT_GT(Missing(), 0);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("at the next start"));
  store_.reset();
  disk_.Heal();
  reports_.clear();
  Open();
  EXPECT_EQ(Missing(), 0);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
}

TEST_F(RocksDbRepairTest, AStoreThatIsNotWholeIsNeverTaken) {
  FaultyFileSystem::Files files = disk_.Snapshot();
  for (const auto& [name, bytes] : FaultyFileSystem::Files(files)) {
    files[absl::StrReplaceAll(name, {{"/spool/", "/spool.repairing/"}})] =
        bytes;
    files.erase(name);
  }
  disk_.Restore(files);
  Open();
  EXPECT_EQ(Missing(), kEntries);
  EXPECT_FALSE(HasFile(".repairing"));
}

TEST_F(RocksDbRepairTest, OfTheFilesAsTheyWereTheNewestAreKept) {
  for (int i = 0; i < 3; ++i) {
    store_.reset();
    Damage("spool/CURRENT", [](std::string& bytes) { bytes = "M"; });
    Open();
    EXPECT_EQ(CopiesKept(), 1);
  }
}

TEST_F(RocksDbRepairTest, ANearlyFullDiskGetsTheirSpaceBack) {
  Damage("spool/CURRENT", [](std::string& bytes) { bytes = "M"; });
  Open();
  std::atomic<bool> cancel{false};
  store_->ReclaimSpace({.nearly_full = false, .cancel = &cancel});
  EXPECT_EQ(CopiesKept(), 1);
  store_->ReclaimSpace({.nearly_full = true, .cancel = &cancel});
  EXPECT_EQ(CopiesKept(), 0);
  EXPECT_EQ(Missing(), 0);
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

TEST_F(RocksDbRepairTest, AStoreWithNothingLeftStartsEmpty) {
  Damage("spool/", [](std::string& bytes) {
    std::fill(bytes.begin(), bytes.end(), '\x55');
  });
  Open();
  EXPECT_EQ(Missing(), kEntries);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
  Put(0, kEntries);
  EXPECT_EQ(Missing(), 0);
}

// A store of many tables on several levels, in which keys were overwritten and
// deleted, with its expected contents.
class LargeStoreRepairTest : public StoreOnFaultyDisk {
 protected:
  LargeStoreRepairTest() : StoreOnFaultyDisk(256 << 10) {
    Open();
    std::mt19937 random(1);
    for (int i = 0; i < 12'000; ++i) {
      const std::string key =
          absl::StrCat(random() % 4, "/", 10'000 + random() % 2'000);
      StoreBatch batch;
      if (random() % 3 == 0) {
        batch.Delete(key);
        expected_.erase(key);
      } else {
        std::string value = absl::StrCat(i, ":");
        while (value.size() < 800) value.push_back(static_cast<char>(random()));
        batch.Put(key, value);
        expected_[key] = std::move(value);
      }
      EXPECT_TRUE(store_->Write(batch, Durability::kProcess).ok());
    }
    store_.reset();
  }

  std::map<std::string, std::string> Contents() {
    std::map<std::string, std::string> contents;
    const auto cursor = store_->Scan("", "\xff");
    for (; cursor->Valid(); cursor->Next()) {
      contents.emplace(cursor->key(), cursor->value());
    }
    EXPECT_TRUE(cursor->status().ok()) << cursor->status();
    return contents;
  }
  // Number of entries that differ from what was last written.
  int Lost() {
    const std::map<std::string, std::string> contents = Contents();
    int lost = 0;
    for (const auto& [key, value] : expected_) {
      const auto left = contents.find(key);
      lost += left == contents.end() || left->second != value;
    }
    return lost;
  }
  static std::vector<std::string> TablesOf(
      const FaultyFileSystem::Files& files) {
    std::vector<std::string> tables;
    for (const auto& [name, bytes] : files) {
      if (absl::EndsWith(name, ".sst")) tables.push_back(name);
    }
    return tables;
  }
  // The same by Get(), which takes another path through the tables.
  int Differences() {
    int differences = 0;
    for (int lane = 0; lane < 4; ++lane) {
      for (int n = 10'000; n < 12'000; ++n) {
        const std::string key = absl::StrCat(lane, "/", n);
        const auto value = store_->Get(key);
        EXPECT_TRUE(value.ok()) << value.status();
        const auto expected = expected_.find(key);
        differences += expected == expected_.end() ? value->has_value()
                                                   : *value != expected->second;
      }
    }
    return differences;
  }

  std::map<std::string, std::string> expected_;
};

TEST_F(LargeStoreRepairTest, ALostCurrentCostsNothingAndBringsNothingBack) {
  FaultyFileSystem::Files files = disk_.Snapshot();
  ASSERT_GT(TablesOf(files).size(), 10u);
  files["/data/spool/CURRENT"] = "MANIFEST-9\n";
  disk_.Restore(files);
  Open();
  EXPECT_EQ(Differences(), 0);
  EXPECT_TRUE(Contents() == expected_);
}

TEST_F(LargeStoreRepairTest, DamageInTheLogLeavesTheTablesAsTheyAre) {
  const FaultyFileSystem::Files before = disk_.Snapshot();
  FaultyFileSystem::Files files = before;
  std::string& log = files.at(LogOf(files));
  log[log.size() / 2] ^= 1;
  disk_.Restore(files);
  Open();
  EXPECT_LE(Differences(), 1);
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("was repaired"));
  const FaultyFileSystem::Files after = disk_.Snapshot();
  // Except for those that were compacted since.
  const std::vector<std::string> tables = TablesOf(before);
  EXPECT_TRUE(std::any_of(tables.begin(), tables.end(), [&](const auto& name) {
    return after.contains(name) && after.at(name) == before.at(name);
  }));
}

// A block of a table has 32 KiB, about forty entries; a table has eight blocks
// or more. If the MANIFEST is lost as well, the age of a damaged table is
// unknown.
TEST_F(LargeStoreRepairTest, ADamagedBlockCostsOnlyItsOwnEntries) {
  const FaultyFileSystem::Files before = disk_.Snapshot();
  const std::vector<std::string> tables = TablesOf(before);
  for (size_t i = 0; i < tables.size(); i += 5) {
    for (const bool manifest_tells : {true, false}) {
      SCOPED_TRACE(absl::StrCat(tables[i], manifest_tells));
      FaultyFileSystem::Files files = before;
      std::string& bytes = files[tables[i]];
      bytes[bytes.size() / 2] ^= 1;
      if (manifest_tells) {
        files["/data/spool/DAMAGED"] = "";
      } else {
        files["/data/spool/CURRENT"] = "MANIFEST-9\n";
      }
      disk_.Restore(files);
      reports_.clear();
      Open();
      EXPECT_LE(Lost(), manifest_tells ? 45 : 300)
          << absl::StrJoin(reports_, "\n");
      EXPECT_THAT(absl::StrJoin(reports_, "\n"),
                  HasSubstr("damaged in 1 places"));
      store_.reset();
    }
  }
}

TEST_F(LargeStoreRepairTest, WhatLiesBetweenTwoDamagedBlocksIsRead) {
  FaultyFileSystem::Files files = disk_.Snapshot();
  const std::vector<std::string> tables = TablesOf(files);
  const std::string largest = *std::max_element(
      tables.begin(), tables.end(), [&](const auto& a, const auto& b) {
        return files[a].size() < files[b].size();
      });
  std::string& bytes = files[largest];
  bytes[bytes.size() / 8] ^= 1;
  bytes[bytes.size() * 3 / 4] ^= 1;
  files["/data/spool/DAMAGED"] = "";
  disk_.Restore(files);
  Open();
  EXPECT_THAT(absl::StrJoin(reports_, "\n"), HasSubstr("damaged in 2 places"));
  EXPECT_LE(Lost(), 90);
}

}  // namespace
}  // namespace heapsync
