#include <rocksdb/env.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "heap_adapter/spool/rocksdb/rocksdb_store.h"
#include "tests/spool/rocksdb/faulty_file_system.h"

namespace heapsync {
namespace {

class RocksDbFullDiskTest : public testing::Test {
 protected:
  RocksDbFullDiskTest()
      : env_(rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(
            std::shared_ptr<rocksdb::FileSystem>(), &disk_))) {
    Open();
  }

  void Open() {
    auto opened = OpenRocksDbStore(
        {.path = "/spool", .write_buffer_bytes = 256 << 10, .env = env_.get()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  // Not in order: files whose keys do not overlap are moved, not compacted.
  static std::string KeyOf(int i) {
    constexpr int kPrime = 7'919;
    constexpr int kMaxKeys = 100'000;
    return absl::StrCat("key ", kMaxKeys + i * kPrime % kMaxKeys);
  }

  absl::Status Write() {
    std::string value(16 << 10, ' ');
    for (char& byte : value) byte = static_cast<char>(random_());
    StoreBatch batch;
    batch.Put(KeyOf(next_++), std::move(value));
    return store_->Write(batch, Durability::kDisk);
  }

  void Delete(int begin, int end) {
    StoreBatch batch;
    for (int i = begin; i < end; ++i) batch.Delete(KeyOf(i));
    ASSERT_TRUE(store_->Write(batch, Durability::kDisk).ok());
  }

  bool Has(int i) const { return (*store_->Get(KeyOf(i))).has_value(); }

  void ReclaimSpace(Store::SpaceNeeds needs = {.nearly_full = true}) {
    std::atomic<bool> cancel = false;
    needs.cancel = &cancel;
    store_->ReclaimSpace(needs);
  }

  // These return once RocksDB's only thread for this work has done everything
  // that was scheduled before.
  void WaitForFlush() { WaitFor(rocksdb::Env::Priority::HIGH); }
  void WaitForCompactions() { WaitFor(rocksdb::Env::Priority::LOW); }
  void WaitFor(rocksdb::Env::Priority thread) {
    std::promise<void> done;
    env_->Schedule(
        [](void* argument) {
          static_cast<std::promise<void>*>(argument)->set_value();
        },
        &done, thread);
    done.get_future().wait();
  }

  int Tables() const {
    int tables = 0;
    for (const auto& [name, bytes] : disk_.Snapshot()) {
      if (absl::EndsWith(name, ".sst")) ++tables;
    }
    return tables;
  }

  int Logs() const {
    int logs = 0;
    for (const auto& [name, bytes] : disk_.Snapshot()) {
      if (absl::EndsWith(name, ".log")) ++logs;
    }
    return logs;
  }

  uint64_t Bytes() const {
    uint64_t sum = 0;
    for (const auto& [name, bytes] : disk_.Snapshot()) sum += bytes.size();
    return sum;
  }

  FaultyFileSystem disk_;
  const std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_{1};
  int next_ = 0;
};

// Blocks RocksDB's only thread for flushes until the write has failed. A write
// that waits for the flush is awaited for a moment only.
class LateFlush {
 public:
  LateFlush(rocksdb::Env& env, const FaultyFileSystem& disk)
      : env_(env), disk_(disk) {
    env_.Schedule(&LateFlush::Keep, this, rocksdb::Env::Priority::HIGH);
    begun_.get_future().wait();
  }

  void WriteReturned() { returned_.set_value(); }
  // Returns once that thread has done everything that was scheduled before.
  void WaitForFlush() {
    env_.Schedule(&LateFlush::End, this, rocksdb::Env::Priority::HIGH);
    ended_.get_future().wait();
  }

 private:
  static void Keep(void* argument) {
    auto* const self = static_cast<LateFlush*>(argument);
    self->begun_.set_value();
    while (!self->disk_.full()) std::this_thread::yield();
    self->returned_.get_future().wait_for(std::chrono::milliseconds(200));
  }
  static void End(void* argument) {
    static_cast<LateFlush*>(argument)->ended_.set_value();
  }

  rocksdb::Env& env_;
  const FaultyFileSystem& disk_;
  std::promise<void> begun_;
  std::promise<void> returned_;
  std::promise<void> ended_;
};

TEST_F(RocksDbFullDiskTest, GoesOnAfterAFlushThatBeganLaterThanTheWriteFailed) {
  LateFlush late(*env_, disk_);
  // The first write to a new log: the contents of the old one must be flushed.
  while (Logs() < 2) ASSERT_TRUE(Write().ok());
  disk_.FailAfter(0, DiskFault::kNoSpace);
  const int failed = next_;
  EXPECT_EQ(Write().code(), absl::StatusCode::kResourceExhausted);
  late.WriteReturned();
  late.WaitForFlush();

  disk_.Heal();
  ASSERT_TRUE(store_->Resume().ok());
  EXPECT_TRUE(Write().ok());
  for (int i = 0; i < next_; ++i) {
    EXPECT_EQ(Has(i), i != failed) << i;
  }
}

TEST_F(RocksDbFullDiskTest, GivesBackTheSpaceOfWhatWasDeleted) {
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(Write().ok());
  const uint64_t full = Bytes();
  Delete(0, 360);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Bytes() > full / 2) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    ReclaimSpace();
    std::this_thread::yield();
  }
  for (int i = 0; i < 400; ++i) EXPECT_EQ(Has(i), i >= 360) << i;
}

// A disk too small for RocksDB's own compactions.
TEST_F(RocksDbFullDiskTest, GivesBackSpaceOnASmallDisk) {
  disk_.SetCapacity(32 << 20);
  ReclaimSpace();
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(Write().ok());
  const uint64_t full = Bytes();
  Delete(0, 360);
  ReclaimSpace();
  EXPECT_LT(Bytes(), full / 2);
  for (int i = 0; i < 400; ++i) EXPECT_EQ(Has(i), i >= 360) << i;
}

TEST_F(RocksDbFullDiskTest, GivingBackSpaceDoesNotFillTheDisk) {
  disk_.SetCapacity(64 << 20);
  ReclaimSpace();
  for (int i = 0; i < 1'200; ++i) ASSERT_TRUE(Write().ok());
  Delete(0, 100);
  disk_.SetCapacity(Bytes() + (10 << 20));
  // The size of the live data is unknown.
  ReclaimSpace({.nearly_full = true, .live_bytes = 0});
  EXPECT_GE(disk_.min_free_bytes(), 2 << 20);
  EXPECT_TRUE(Write().ok());
  for (int i = 0; i < 1'200; ++i) ASSERT_EQ(Has(i), i >= 100) << i;

  // It does not retry for a while.
  Delete(100, 200);
  const uint64_t before = disk_.operations();
  ReclaimSpace({.nearly_full = true, .live_bytes = 0});
  EXPECT_EQ(disk_.operations(), before);
}

TEST_F(RocksDbFullDiskTest, WritesNoFilesWhileItCannotGiveBackAnything) {
  disk_.SetCapacity(64 << 20);
  ReclaimSpace();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Write().ok());
  Delete(0, 50);
  WaitForFlush();
  const uint64_t before = disk_.operations();
  ReclaimSpace({.nearly_full = true, .live_bytes = 100 << 20});
  EXPECT_EQ(disk_.operations(), before);
}

TEST_F(RocksDbFullDiskTest, CompactsNothingOnASmallDiskByItself) {
  disk_.SetCapacity(64 << 20);
  ReclaimSpace({.nearly_full = true, .live_bytes = 100 << 20});
  while (Tables() < 40) ASSERT_TRUE(Write().ok());
  disk_.FailAfter(0, DiskFault::kNoSpace);
  EXPECT_EQ(Write().code(), absl::StatusCode::kResourceExhausted);
  disk_.Heal();
  ASSERT_TRUE(store_->Resume().ok());
  WaitForCompactions();
  EXPECT_GE(Tables(), 40);

  store_.reset();
  Open();
  WaitForCompactions();
  EXPECT_GE(Tables(), 40);
}

TEST_F(RocksDbFullDiskTest, ACompactionThatFoundNoSpaceIsNotTheEnd) {
  disk_.SetCapacity(64 << 20);
  ReclaimSpace({.nearly_full = true, .live_bytes = 100 << 20});
  while (Tables() < 40) ASSERT_TRUE(Write().ok());
  disk_.SetCapacity(Bytes() + (4 << 20));
  // RocksDB starts a compaction and throttles writes until it is done.
  ReclaimSpace({.nearly_full = false, .live_bytes = 0});
  absl::Status written;
  while (written.ok()) written = Write();
  EXPECT_EQ(written.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(written.message(), testing::HasSubstr("incomplete"));
  const int failed = next_ - 1;

  disk_.SetCapacity(1 << 30);
  ASSERT_TRUE(store_->Resume().ok());
  EXPECT_TRUE(Write().ok());
  for (int i = 0; i < next_; ++i) ASSERT_EQ(Has(i), i != failed) << i;
}

}  // namespace
}  // namespace heapsync
