#include "tests/spool/memory_store.h"

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace heapsync {
namespace {

using ::testing::Optional;

class MemoryStoreTest : public ::testing::Test {
 protected:
  absl::Status Put(const std::string& value,
                   Durability durability = Durability::kProcess) {
    StoreBatch batch;
    batch.Put("key", value);
    return store_.Write(batch, durability);
  }
  std::optional<std::string> Value() { return *store_.Get("key"); }

  MemoryStore store_;
};

TEST_F(MemoryStoreTest, ACrashOfTheProcessForgetsNothing) {
  ASSERT_TRUE(Put("1", Durability::kDisk).ok());
  ASSERT_TRUE(Put("2").ok());
  store_.CrashProcess();
  EXPECT_THAT(Value(), Optional(std::string("2")));
  store_.CrashMachine(0);
  EXPECT_THAT(Value(), Optional(std::string("1")));
}

TEST_F(MemoryStoreTest, ACrashOfTheMachineKeepsTheFirstOfTheUnsyncedWrites) {
  ASSERT_TRUE(Put("1", Durability::kDisk).ok());
  for (const char* value : {"2", "3", "4"}) ASSERT_TRUE(Put(value).ok());
  EXPECT_EQ(store_.unsynced_writes(), 3);
  store_.CrashMachine(2);
  EXPECT_THAT(Value(), Optional(std::string("3")));
  store_.CrashMachine(0);
  EXPECT_THAT(Value(), Optional(std::string("3")));
}

TEST_F(MemoryStoreTest, ASyncSavesTheUnsyncedWritesBeforeIt) {
  ASSERT_TRUE(Put("1").ok());
  StoreBatch other;
  other.Put("other", "x");
  ASSERT_TRUE(store_.Write(other, Durability::kDisk).ok());
  store_.CrashMachine(0);
  EXPECT_THAT(Value(), Optional(std::string("1")));
}

TEST_F(MemoryStoreTest, ACrashTakesBackDeletionsAndWholeBatches) {
  ASSERT_TRUE(Put("1", Durability::kDisk).ok());
  StoreBatch batch;
  batch.Delete("key");
  batch.Put("key", "2");
  batch.Delete("key");
  batch.Put("new", "x");
  ASSERT_TRUE(store_.Write(batch, Durability::kProcess).ok());
  EXPECT_EQ(Value(), std::nullopt);
  store_.CrashMachine(0);
  EXPECT_THAT(Value(), Optional(std::string("1")));
  EXPECT_EQ(store_.entries(), 1);
}

TEST_F(MemoryStoreTest, FailsAfterSoManyWritesUntilItCrashes) {
  store_.FailWrites(absl::InternalError("EIO"), 1);
  EXPECT_TRUE(Put("1").ok());
  EXPECT_FALSE(Put("2").ok());
  EXPECT_FALSE(Put("3", Durability::kDisk).ok());
  EXPECT_THAT(Value(), Optional(std::string("1")));
  EXPECT_EQ(store_.writes(), 1);
  EXPECT_EQ(store_.failed_writes(), 2);
  store_.CrashProcess();
  EXPECT_TRUE(Put("4").ok());
}

TEST_F(MemoryStoreTest, AFailedWriteMayHaveHappened) {
  store_.FailWrites(absl::InternalError("EIO"), 0, FailedWrite::kHappened);
  EXPECT_FALSE(Put("1", Durability::kDisk).ok());
  store_.CrashProcess();
  EXPECT_THAT(Value(), Optional(std::string("1")));
  store_.CrashMachine(0);
  EXPECT_EQ(Value(), std::nullopt);
}

TEST_F(MemoryStoreTest, FailsReadsUntilItCrashes) {
  ASSERT_TRUE(Put("1").ok());
  store_.FailReads(absl::InternalError("EIO"), 1);
  EXPECT_TRUE(store_.Get("key").ok());
  EXPECT_FALSE(store_.Get("key").ok());
  EXPECT_FALSE(store_.Last("a", "z").ok());
  EXPECT_FALSE(store_.Scan("a", "z")->Valid());
  EXPECT_FALSE(store_.Scan("a", "z")->status().ok());
  store_.CrashProcess();
  EXPECT_TRUE(store_.Scan("a", "z")->Valid());
}

TEST_F(MemoryStoreTest, CountsWritesAndSyncs) {
  ASSERT_TRUE(Put("1").ok());
  ASSERT_TRUE(Put("2", Durability::kDisk).ok());
  EXPECT_EQ(store_.writes(), 2);
  EXPECT_EQ(store_.syncs(), 1);
  EXPECT_EQ(store_.unsynced_writes(), 0);
}

TEST_F(MemoryStoreTest, ForgetsOldValuesWhenTheLastCursorIsGone) {
  ASSERT_TRUE(Put("1").ok());
  {
    const auto cursor = store_.Scan("a", "z");
    StoreBatch batch;
    batch.Delete("key");
    ASSERT_TRUE(store_.Write(batch, Durability::kProcess).ok());
    EXPECT_EQ(cursor->value(), "1");
  }
  EXPECT_EQ(store_.entries(), 0);
  EXPECT_FALSE(store_.Scan("a", "z")->Valid());
}

}  // namespace
}  // namespace heapsync
