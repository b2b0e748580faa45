#include "heap_adapter/engines.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/promise.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/append_event.h"
#include "tests/engine/many_destinations.h"
#include "tests/engine/one_way_heap.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr size_t kShards = 4;

class EnginesTest : public ::testing::Test {
 protected:
  EnginesTest() {
    for (OneWayHeap& heap : heaps_) heap.Go(OneWayHeap::Way::kHangs);
    std::vector<std::unique_ptr<Engine>> engines;
    for (DestinationConfig& part :
         Engines::Split(ManyDestinations(8), kShards)) {
      EngineOptions options;
      options.destinations = std::move(part);
      engines.push_back(*Engine::Start(stores_[engines.size()],
                                       heaps_[engines.size()], SystemClock(),
                                       std::move(options), nullptr));
    }
    engines_ =
        std::make_unique<Engines>(std::move(engines), ManyDestinations(8));
  }

  std::string Track(const std::string& destination) {
    const Destination& to = *engines_->FindDestination(destination);
    Engine& engine = engines_->For(destination);
    const auto items = AppendEvent(engine, to).Wait();
    const LaneId lane = engine.LaneFor(to, ObjectType::kTrackEvent);
    return engine.ReceiptOf(lane, {**items});
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
  OneWayHeap heaps_[kShards];  // take nothing so far
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
  ASSERT_TRUE(engines_->SetDestinations(ManyDestinations(12)).ok());
  EXPECT_THAT(NamesIn(Snapshot()), ElementsAreArray(Names(12)));
  Track("app-11");
  ASSERT_TRUE(engines_->SetDestinations(ManyDestinations(3)).ok());
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
  OneWayHeap heap(OneWayHeap::Way::kHangs);
  EngineOptions options;
  options.destinations = ManyDestinations(3);
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
