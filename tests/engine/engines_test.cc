#include "heap_adapter/engines.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/promise.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr size_t kShards = 4;

// Heap takes nothing so far.
class SilentHeap final : public Transport {
 public:
  void Send(HeapRequest) override {}
  std::vector<HeapResponse> Wait(Duration timeout) override {
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

 private:
  Mutex mutex_;
  CondVar changed_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
};

DestinationConfig Config(int destinations) {
  DestinationConfig config;
  for (int i = 0; i < destinations; ++i) {
    config.destinations.push_back(
        {.name = "app-" + std::to_string(i), .app_id = *AppId::Parse("1")});
  }
  config.default_destination = "app-0";
  return config;
}

class EnginesTest : public ::testing::Test {
 protected:
  EnginesTest() {
    std::vector<std::unique_ptr<Engine>> engines;
    for (DestinationConfig& part : Engines::Split(Config(8), kShards)) {
      EngineOptions options;
      options.destinations = std::move(part);
      engines.push_back(*Engine::Start(stores_[engines.size()],
                                       heaps_[engines.size()], SystemClock(),
                                       std::move(options), nullptr));
    }
    engines_ = std::make_unique<Engines>(std::move(engines), Config(8));
  }

  std::string Track(const std::string& destination) {
    const Destination& to = *engines_->FindDestination(destination);
    Engine& engine = engines_->For(destination);
    Promise<absl::StatusOr<SeqRange>> promise;
    auto stored = promise.future();
    EncodedChunk chunk;
    chunk.accepted_at = SystemClock().Read().wall;
    chunk.items.push_back({.size = 2, .identity_hash = 1});
    chunk.text = "{}";
    const LaneId lane = engine.LaneFor(to, ObjectType::kTrackEvent);
    EXPECT_TRUE(engine
                    .Append(to, lane, std::move(chunk),
                            [promise = std::move(promise)](
                                absl::StatusOr<SeqRange> items) mutable {
                              promise.Set(std::move(items));
                            })
                    .ok());
    return engine.ReceiptOf(lane, {**stored.Wait()});
  }
  EngineSnapshot Snapshot() {
    Promise<EngineSnapshot> promise;
    auto taken = promise.future();
    engines_->RequestSnapshot(
        [promise = std::move(promise)](EngineSnapshot snapshot) mutable {
          promise.Set(std::move(snapshot));
        });
    return *taken.Wait();
  }
  static std::vector<std::string> NamesIn(const EngineSnapshot& snapshot) {
    std::vector<std::string> names;
    for (const auto& each : snapshot.destinations) names.push_back(each.name);
    return names;
  }
  static std::vector<std::string> Names(int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back("app-" + std::to_string(i));
    return names;
  }

  MemoryStore stores_[kShards];
  SilentHeap heaps_[kShards];
  std::unique_ptr<Engines> engines_;
};

TEST_F(EnginesTest, EachDestinationHasOneEngine) {
  size_t configured = 0;
  for (size_t shard = 0; shard < engines_->size(); ++shard) {
    for (const Destination& each : (*engines_)[shard].destinations()) {
      EXPECT_EQ(engines_->ShardFor(each.name), shard);
      EXPECT_EQ(&engines_->For(each.name), &(*engines_)[shard]);
      ++configured;
    }
  }
  EXPECT_EQ(configured, 8u);
  EXPECT_EQ(engines_->FindDestination("")->name, "app-0");
  EXPECT_EQ(engines_->FindDestination("app-7")->name, "app-7");
  EXPECT_EQ(engines_->FindDestination("app-8"), nullptr);
}

TEST_F(EnginesTest, AReceiptLeadsToTheEngineThatGaveIt) {
  for (const std::string& name : Names(8)) {
    const Receipt receipt = *Receipt::Decode(Track(name));
    const size_t shard = engines_->ShardWithSpool(receipt.spool_id);
    ASSERT_LT(shard, engines_->size());
    EXPECT_EQ((*engines_)[shard].FindLane(receipt.lane)->destination, name);
  }
  EXPECT_EQ(engines_->ShardWithSpool(42), engines_->size());
}

TEST_F(EnginesTest, ASnapshotHasAllDestinationsInTheirOrder) {
  EXPECT_THAT(NamesIn(Snapshot()), ElementsAreArray(Names(8)));
  EXPECT_THAT(NamesIn(*engines_->SnapshotOf({"app-5", "nobody", "app-1"})),
              ElementsAre("app-5", "app-1"));
}

TEST_F(EnginesTest, ASnapshotComesEvenIfAnEngineCannotAnswer) {
  // An engine that drops the question, as one that stops does.
  engines_->RequestSnapshot([](const EngineSnapshot&) {});
  Promise<size_t> promise;
  auto taken = promise.future();
  engines_->RequestSnapshot(
      [promise = std::move(promise)](const EngineSnapshot& snapshot) mutable {
        promise.Set(snapshot.destinations.size());
      });
  engines_.reset();
  EXPECT_TRUE(taken.Wait().has_value());
}

TEST_F(EnginesTest, NewDestinationsGoToTheirEngines) {
  ASSERT_TRUE(engines_->SetDestinations(Config(12)).ok());
  EXPECT_THAT(NamesIn(Snapshot()), ElementsAreArray(Names(12)));
  Track("app-11");
  ASSERT_TRUE(engines_->SetDestinations(Config(3)).ok());
  EXPECT_EQ(engines_->FindDestination("app-11"), nullptr);
  EXPECT_EQ(engines_->destinations().size(), 3u);
}

TEST_F(EnginesTest, AFlushOfAllWaitsForEveryEngine) {
  Promise<Settlement> empty;
  auto flushed = empty.future();
  ASSERT_TRUE(engines_
                  ->Flush("", [empty = std::move(empty)](
                                  Settlement end) mutable { empty.Set(end); })
                  .ok());
  EXPECT_TRUE(flushed.Wait().has_value());
  EXPECT_TRUE(engines_->Drain(std::chrono::minutes(1)));
  Track("app-3");
  EXPECT_FALSE(engines_->Drain(std::chrono::milliseconds(50)));
}

TEST_F(EnginesTest, OneEngineIsAllThereIs) {
  MemoryStore store;
  SilentHeap heap;
  EngineOptions options;
  options.destinations = Config(3);
  Engines one(
      *Engine::Start(store, heap, SystemClock(), std::move(options), nullptr));
  EXPECT_EQ(one.size(), 1u);
  EXPECT_TRUE(one.delivers());
  EXPECT_EQ(one.destinations().size(), 3u);
  for (const std::string& name : Names(3)) {
    EXPECT_NE(one.FindDestination(name), nullptr);
    EXPECT_EQ(&one.For(name), &one[0]);
  }
}

}  // namespace
}  // namespace heapsync
