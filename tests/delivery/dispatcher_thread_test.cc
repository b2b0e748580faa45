#include "heap_adapter/delivery/dispatcher_thread.h"

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/one_way_heap.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

class DispatcherThreadTest : public ::testing::Test {
 protected:
  MemoryStore store_;
  std::unique_ptr<Spool> spool_ = *Spool::Open(store_, 42);
  Committer committer_{*spool_, {}, {}, [](Committer::Notices) {}};
  OneWayHeap heap_;
  const DeliveryRules rules_ = {};
  Dispatcher dispatcher_{*spool_, committer_,         heap_,
                         rules_,  [] { return 0.5; }, nullptr};
  DispatcherThread thread_{heap_,
                           SystemClock(),
                           {.turn = [] {},
                            .disk_short = [] { return false; },
                            .publish = [] {},
                            .step = nullptr}};
};

TEST_F(DispatcherThreadTest, WhatComesWhileItLeavesIsCarriedOut) {
  thread_.Open();
  thread_.Run(dispatcher_, /*publishes=*/false);
  std::promise<void> begun;
  std::promise<void> go_on;
  DispatcherThread::Command busy = [&begun, over = go_on.get_future()](
                                       Dispatcher&, Now) mutable {
    begun.set_value();
    over.get();
  };
  ASSERT_TRUE(thread_.Post(busy));
  begun.get_future().get();
  std::atomic<bool> carried_out{false};
  DispatcherThread::Command last = [&](Dispatcher&, Now) {
    carried_out = true;
  };
  ASSERT_TRUE(thread_.Post(last));
  std::thread leaving([&] { thread_.Leave(); });
  heap_.WaitForWakes(3);  // two commands and the leave
  go_on.set_value();
  leaving.join();
  EXPECT_TRUE(carried_out);
  DispatcherThread::Command late = [](Dispatcher&, Now) {};
  EXPECT_FALSE(thread_.Post(late));
}

TEST_F(DispatcherThreadTest, QuestionsToADispatcherThatDoesNotComeAreEnded) {
  thread_.Open();
  Committer::Notices notices;
  notices.appended.resize(2);
  ASSERT_TRUE(thread_.Notify(notices));
  auto asked = std::async(std::launch::async,
                          [&] { return thread_.Ask([](Dispatcher&, Now) {}); });
  heap_.WaitForWakes(1);
  const std::vector<Committer::Notices> kept = thread_.Close();
  EXPECT_FALSE(asked.get());
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].appended.size(), 2u);
  EXPECT_FALSE(thread_.Notify(notices));
}

}  // namespace
}  // namespace heapsync
