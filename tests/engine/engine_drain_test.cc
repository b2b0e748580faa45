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
#include "tests/spool/forwarding_store.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

// A store whose writes wait while they are held.
class HeldStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  void Hold() {
    MutexLock lock(mutex_);
    held_ = true;
  }
  void Release() {
    MutexLock lock(mutex_);
    held_ = false;
    changed_.NotifyAll();
  }

  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    {
      MutexLock lock(mutex_);
      while (held_) changed_.Wait(mutex_);
    }
    return ForwardingStore::Write(batch, durability);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

// Heap takes everything at once.
class QuickHeap final : public Transport {
 public:
  void Send(HeapRequest request) override {
    ++requests_;
    answers_.push_back(
        {.request_id = request.id,
         .result = HttpResponse{
             .status = 200, .retry_after = std::nullopt, .body = "{}"}});
  }
  std::vector<HeapResponse> Wait(Duration timeout) override {
    if (!answers_.empty()) return std::exchange(answers_, {});
    MutexLock lock(mutex_);
    if (!woken_) changed_.WaitFor(mutex_, timeout);
    woken_ = false;
    return {};
  }
  void Wake() override {
    MutexLock lock(mutex_);
    woken_ = true;
    changed_.NotifyAll();
  }

  int requests() const { return requests_; }

 private:
  std::vector<HeapResponse> answers_;  // of the dispatcher's thread
  std::atomic<int> requests_{0};
  Mutex mutex_;
  CondVar changed_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

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
    const Destination& prod = *engine_->FindDestination("prod");
    Promise<absl::StatusOr<SeqRange>> promise;
    auto stored = promise.future();
    EncodedChunk chunk;
    chunk.accepted_at = SystemClock().Read().wall;
    chunk.items.push_back({.size = 2, .identity_hash = 1});
    chunk.text = "{}";
    const Admission queued = engine_->Append(
        prod, engine_->LaneFor(prod, ObjectType::kTrackEvent), std::move(chunk),
        [promise = std::move(promise)](absl::StatusOr<SeqRange> items) mutable {
          promise.Set(std::move(items));
        });
    EXPECT_TRUE(queued.ok()) << queued.status;
    return stored;
  }

  MemoryStore memory_;
  HeldStore store_{memory_};
  QuickHeap heap_;
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
