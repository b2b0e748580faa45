#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "tests/spool/memory_store.h"
#include "tests/spool/store_place.h"

namespace heapsync {
namespace {

using ::testing::HasSubstr;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        std::filesystem::temp_directory_path() / "storeXXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class MemoryPlace final : public StorePlace {
 public:
  Store& Open() override { return store_; }
  void Close() override { store_.CrashProcess(); }

 private:
  MemoryStore store_;
};

class RocksDbPlace final : public StorePlace {
 public:
  Store& Open() override {
    store_ = *OpenRocksDbStore({.path = folder_.path() + "/spool"});
    return *store_;
  }
  void Close() override { store_.reset(); }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST(RocksDbStoreTest, RefusesASecondOpeningOfTheSamePath) {
  const TemporaryFolder folder;
  const auto first = OpenRocksDbStore({.path = folder.path()});
  ASSERT_TRUE(first.ok());
  const auto second = OpenRocksDbStore({.path = folder.path()});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(folder.path()));
}

TEST(RocksDbStoreTest, OpensAgainOnceTheFirstIsGone) {
  const TemporaryFolder folder;
  ASSERT_TRUE(OpenRocksDbStore({.path = folder.path()}).ok());
  EXPECT_TRUE(OpenRocksDbStore({.path = folder.path()}).ok());
}

TEST(RocksDbStoreTest, NamesAPathThatCannotBeAFolder) {
  const auto store = OpenRocksDbStore({.path = "/dev/null/spool"});
  EXPECT_EQ(store.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(store.status().message(), HasSubstr("/dev/null/spool"));
}

TEST(RocksDbStoreTest, AFolderWhoseNameSpeaksOfLocksIsNotTakenForALockedOne) {
  const auto store = OpenRocksDbStore({.path = "/dev/null/locked"});
  EXPECT_EQ(store.status().code(), absl::StatusCode::kInternal);
}

}  // namespace

std::vector<StoreKind> StoreKinds() {
  return {{"Memory", [] { return std::make_unique<MemoryPlace>(); }},
          {"RocksDb", [] { return std::make_unique<RocksDbPlace>(); }}};
}

}  // namespace heapsync
