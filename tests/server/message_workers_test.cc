#include "server/data/message_workers.h"

#include <gmock/gmock.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace heapsync {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MessageWorkersTest : public testing::Test {
 protected:
  // Its only thread does nothing else until Release().
  void Occupy(size_t bytes = 0) {
    std::promise<void> begun;
    ASSERT_TRUE(workers_->Submit("first", bytes, [this, &begun] {
      begun.set_value();
      released_.get_future().wait();
    }));
    begun.get_future().wait();
  }
  void Release() { released_.set_value(); }
  bool Submit(const std::string& caller, const std::string& name,
              size_t bytes = 1) {
    return workers_->Submit(caller, bytes,
                            [this, name] { done_.push_back(name); });
  }
  // Waits for all that was submitted.
  void End() { workers_.reset(); }

  std::promise<void> released_;
  std::vector<std::string> done_;
  std::unique_ptr<MessageWorkers> workers_ = std::make_unique<MessageWorkers>(
      MessageWorkers::Limits{.threads = 1, .bytes = 10});
};

TEST_F(MessageWorkersTest, CallersTakeTurnsAndTheEndWaitsForAll) {
  Occupy();
  for (const char* name : {"a1", "a2", "a3"}) EXPECT_TRUE(Submit("a", name));
  EXPECT_TRUE(Submit("b", "b1"));
  EXPECT_THAT(done_, IsEmpty());
  Release();
  End();
  EXPECT_THAT(done_, ElementsAre("a1", "b1", "a2", "a3"));
}

TEST_F(MessageWorkersTest, BeyondItsBytesATaskIsLeftToTheCaller) {
  Occupy(6);
  EXPECT_TRUE(Submit("a", "small", 4));
  absl::AnyInvocable<void()> task = [this] { done_.push_back("large"); };
  EXPECT_FALSE(workers_->Submit("b", 1, std::move(task)));
  task();
  EXPECT_THAT(done_, ElementsAre("large"));
  Release();
  End();
  EXPECT_THAT(done_, ElementsAre("large", "small"));
}

TEST_F(MessageWorkersTest, WhatIsDoneMakesRoom) {
  for (int i = 0; i < 10; ++i) {
    std::promise<void> done;
    // The room is there once the thread has said so, which follows the task.
    while (!workers_->Submit("a", 10, [&done] { done.set_value(); })) {
      std::this_thread::yield();
    }
    done.get_future().wait();
  }
}

}  // namespace
}  // namespace heapsync
