#include "client/cli/run_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/temporary_folder.h"

namespace heapsync {
namespace {

class RunLockTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
  const std::string path_ = folder_.File("state");
};

TEST_F(RunLockTest, OneOfTwoRunsAtOnceIsRefused) {
  const auto first = RunLock::Acquire(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(RunLock::Acquire(path_).status()));
}

TEST_F(RunLockTest, NothingIsLeftBehind) {
  { const auto lock = RunLock::Acquire(path_); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.File("")));
}

TEST_F(RunLockTest, WhatAKilledProcessLeftDoesNotMatter) {
  std::ofstream(path_ + ".lock") << "";
  EXPECT_TRUE(RunLock::Acquire(path_).ok());
}

TEST_F(RunLockTest, NoTwoEverHaveIt) {
  std::atomic<int> holders = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        const auto lock = RunLock::Acquire(path_);
        if (!lock.ok()) continue;
        if (const int now = ++holders; now > most) most = now;
        --holders;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
}

}  // namespace
}  // namespace heapsync
