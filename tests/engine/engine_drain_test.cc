// Drain and Flush against a disk that takes its time.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/promise.h"
#include "gtest/gtest.h"
#include "heap_adapter/engine.h"
#include "tests/engine/append_event.h"
#include "tests/engine/one_way_heap.h"
#include "tests/spool/held_store.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

class EngineDrainTest : public ::testing::Test {
 protected:
  EngineDrainTest() {
    EngineOptions options;
    options.destinations.destinations.push_back(
        {.name = "prod", .app_id = *AppId::Parse("1")});
    options.destinations.default_destination = "prod";
    engine_ = *Engine::Start(store_, heap_, SystemClock(), std::move(options),
                             [](const AttemptEvent&) {});
  }
  // An engine that stops waits for its last write.
  ~EngineDrainTest() override { store_.Release(); }

  Future<absl::StatusOr<SeqRange>> Append() {
    return AppendEvent(*engine_, *engine_->FindDestination("prod"));
  }

  MemoryStore memory_;
  HeldStore store_{memory_};
  OneWayHeap heap_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineDrainTest, WhatIsStillWithTheCommitterIsNotDrained) {
  store_.Hold();
  Future<absl::StatusOr<SeqRange>> stored = Append();
  engine_->StopAccepting();
  EXPECT_FALSE(engine_->Drain(std::chrono::milliseconds(100)));
  store_.Release();
  EXPECT_TRUE(engine_->Drain(std::chrono::minutes(1)));
  EXPECT_TRUE(stored.Wait()->ok());
  EXPECT_EQ(heap_.requests(), 1);
}

TEST_F(EngineDrainTest, AFlushCoversAnAppendThatIsNotStoredYet) {
  store_.Hold();
  Append();
  Promise<Settlement> promise;
  Future<Settlement> flushed = promise.future();
  ASSERT_TRUE(engine_
                  ->Flush("prod", [promise = std::move(promise)](
                                      Settlement s) mutable { promise.Set(s); })
                  .ok());
  EXPECT_FALSE(flushed.WaitFor(std::chrono::milliseconds(100)).has_value());
  store_.Release();
  EXPECT_EQ(flushed.Wait()->delivered, 1u);
}

TEST_F(EngineDrainTest, ABarrierWaitsForTheWriteBeforeIt) {
  store_.Hold();
  Future<absl::StatusOr<SeqRange>> stored = Append();
  std::thread release([this] { store_.Release(); });
  EXPECT_TRUE(engine_->Barrier().ok());
  EXPECT_TRUE(stored.WaitFor(std::chrono::seconds(0)).has_value());
  release.join();
}

TEST_F(EngineDrainTest, AnUnknownDestinationIsNotFlushedAndNotPaused) {
  EXPECT_TRUE(absl::IsNotFound(engine_->Flush("nobody", nullptr)));
  absl::Status paused;
  engine_->Pause("nobody", {},
                 [&](absl::Status status) { paused = std::move(status); });
  EXPECT_TRUE(absl::IsNotFound(paused));
}

}  // namespace
}  // namespace heapsync
