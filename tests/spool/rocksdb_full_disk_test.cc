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
#include "gtest/gtest.h"
#include "heap_adapter/spool/rocksdb_store.h"
#include "tests/spool/faulty_file_system.h"

namespace heapsync {
namespace {

class RocksDbFullDiskTest : public testing::Test {
 protected:
  RocksDbFullDiskTest()
      : env_(rocksdb::NewCompositeEnv(std::shared_ptr<rocksdb::FileSystem>(
            std::shared_ptr<rocksdb::FileSystem>(), &disk_))),
        store_(*OpenRocksDbStore({.path = "/spool",
                                  .write_buffer_bytes = 256 << 10,
                                  .env = env_.get()})) {}

  absl::Status Write() {
    StoreBatch batch;
    batch.Put(absl::StrCat("key ", 1'000 + next_++),
              std::string(16 << 10, 'x'));
    return store_->Write(batch, Durability::kDisk);
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
  const std::unique_ptr<Store> store_;
  int next_ = 0;
};

// Keeps RocksDB's only thread for flushes from its work until the write has
// failed. A write that waits for the flush is waited for a moment only.
class LateFlush {
 public:
  LateFlush(rocksdb::Env& env, const FaultyFileSystem& disk)
      : env_(env), disk_(disk) {
    env_.Schedule(&LateFlush::Keep, this, rocksdb::Env::Priority::HIGH);
    begun_.get_future().wait();
  }

  void WriteReturned() { returned_.set_value(); }
  // Returns once that thread has done what was scheduled before.
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
  // The first write into a new log: what the old one holds is to be flushed.
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
    EXPECT_EQ((*store_->Get(absl::StrCat("key ", 1'000 + i))).has_value(),
              i != failed)
        << i;
  }
}

TEST_F(RocksDbFullDiskTest, GivesBackTheRoomOfWhatWasDeleted) {
  std::mt19937_64 random(1);
  std::string value(64 << 10, ' ');
  for (int i = 0; i < 100; ++i) {
    for (char& byte : value) byte = static_cast<char>(random());
    StoreBatch batch;
    batch.Put(absl::StrCat("key ", 1'000 + i), value);
    ASSERT_TRUE(store_->Write(batch, Durability::kProcess).ok());
  }
  const uint64_t full = Bytes();
  ASSERT_GE(full, 100 * value.size());
  StoreBatch most;
  for (int i = 0; i < 90; ++i) most.Delete(absl::StrCat("key ", 1'000 + i));
  ASSERT_TRUE(store_->Write(most, Durability::kProcess).ok());

  std::atomic<bool> stop = false;
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Bytes() > full / 2) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    store_->KeepRoom({.nearly_full = true, .live_bytes = 0, .stop = &stop});
    std::this_thread::yield();
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ((*store_->Get(absl::StrCat("key ", 1'000 + i))).has_value(),
              i >= 90);
  }
}

}  // namespace
}  // namespace heapsync
