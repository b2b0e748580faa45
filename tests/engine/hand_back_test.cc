// Two engines over one shared shard, of which one hands it to the other.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/promise.h"
#include "gtest/gtest.h"
#include "heap_adapter/engine.h"
#include "heap_adapter/spool/failed_cursor.h"
#include "tests/engine/append_event.h"
#include "tests/engine/one_way_heap.h"
#include "tests/spool/forwarding_store.h"
#include "tests/spool/held_store.h"
#include "tests/spool/memory_store.h"

namespace heapsync {
namespace {

using std::chrono::minutes;

// A store of one server among several. The changes of all are guarded by
// `mutex`.
class MemberStore final : public ForwardingStore {
 public:
  MemberStore(Store& store, Mutex& mutex)
      : ForwardingStore(store), mutex_(mutex) {}

  bool shared() const override { return true; }
  absl::Status Write(const StoreBatch& batch, Durability durability) override {
    MutexLock lock(mutex_);
    ++writes_;
    return ForwardingStore::Write(batch, durability);
  }
  absl::Status Update(const std::vector<std::string>& keys, BatchMaker make,
                      Durability durability) override {
    MutexLock lock(mutex_);
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) values.push_back(*Get(key));
    return ForwardingStore::Write(make(values), durability);
  }

  std::unique_ptr<StoreCursor> Scan(absl::string_view begin,
                                    absl::string_view end) const override {
    if (reads_left > 0 && --reads_left == 0) {
      return std::make_unique<FailedCursor>(absl::UnavailableError("away"));
    }
    return ForwardingStore::Scan(begin, end);
  }

  // Scans until one fails, once; 0: none does.
  mutable std::atomic<int> reads_left{0};

  // Other than at the ends of lanes.
  int writes() const { return writes_; }

 private:
  Mutex& mutex_;
  std::atomic<int> writes_{0};
};

struct Member {
  Member(Store& all, Mutex& mutex) : store(all, mutex) {
    EngineOptions options;
    options.destinations.destinations.push_back(
        {.name = "prod", .app_id = *AppId::Parse("1")});
    options.destinations.destinations.back().batch.max_wait =
        std::chrono::milliseconds(0);
    engine = *Engine::Open(store, heap, SystemClock(), std::move(options),
                           [](const AttemptEvent&) {});
  }

  // Appends an item, and waits for its sequence.
  Seq Append(SettledCallback on_settled = nullptr) {
    return (**AppendEvent(*engine, *engine->FindDestination("prod"),
                          std::move(on_settled))
                  .Wait())
        .begin;
  }
  void WaitForRest() const {
    // Each of these is a turn of the dispatcher.
    while (!engine->IsAtRest()) {
      EXPECT_TRUE(engine->SnapshotOf({"prod"}).ok());
    }
  }
  ItemState StateOf(Seq seq) {
    const Destination& prod = *engine->FindDestination("prod");
    const auto found = engine->LookUp(
        engine->LaneFor(prod, ObjectType::kTrackEvent), {{seq, seq + 1}});
    EXPECT_TRUE(found.ok()) << found.status();
    return found->front().state;
  }

  MemberStore store;
  OneWayHeap heap;
  std::unique_ptr<Engine> engine;
};

class HandBackTest : public ::testing::Test {
 protected:
  MemoryStore all_;
  Mutex mutex_;
  HeldStore held_{all_};
  Member first_{held_, mutex_};
  Member second_{all_, mutex_};
};

TEST_F(HandBackTest, ARequestInFlightIsWaitedForAndNoOtherBegins) {
  ASSERT_TRUE(first_.engine->Deliver().ok());
  first_.heap.Go(OneWayHeap::Way::kHangs);
  const Seq in_flight = first_.Append();
  first_.heap.WaitForRequests(1);
  first_.engine->StopSending();
  const Seq waiting = first_.Append();
  ASSERT_TRUE(first_.engine->Barrier().ok());
  for (int turn = 0; turn < 20; ++turn) {
    ASSERT_TRUE(first_.engine->SnapshotOf({"prod"}).ok());
    ASSERT_FALSE(first_.engine->IsAtRest());
  }
  first_.heap.Go(OneWayHeap::Way::kTakes);
  first_.WaitForRest();
  ASSERT_TRUE(first_.engine->StopDelivering().ok());
  EXPECT_FALSE(first_.engine->delivers());
  EXPECT_EQ(first_.heap.requests(), 1);
  // The outcome is stored by then, for whoever comes next.
  EXPECT_EQ(second_.StateOf(in_flight), ItemState::kDelivered);
  EXPECT_EQ(second_.StateOf(waiting), ItemState::kWaiting);
  ASSERT_TRUE(second_.engine->Deliver().ok());
  EXPECT_TRUE(second_.engine->Drain(minutes(1)));
  EXPECT_EQ(second_.heap.requests(), 1);
  // The last outcome is stored after that.
  EXPECT_TRUE(second_.engine->Barrier().ok());
  EXPECT_EQ(first_.StateOf(waiting), ItemState::kDelivered);
}

TEST_F(HandBackTest, AnOutcomeThatIsBeingStoredIsWaitedFor) {
  ASSERT_TRUE(first_.engine->Deliver().ok());
  first_.heap.Go(OneWayHeap::Way::kHangs);
  std::atomic<bool> settled{false};
  const Seq item = first_.Append([&](Settlement) { settled = true; });
  first_.heap.WaitForRequests(1);
  first_.engine->StopSending();
  held_.Hold();
  first_.heap.Go(OneWayHeap::Way::kTakes);
  first_.WaitForRest();
  std::thread leaving(
      [&] { EXPECT_TRUE(first_.engine->StopDelivering().ok()); });
  // The dispatcher is there still.
  for (int turn = 0; turn < 2'000; ++turn) {
    const auto snapshot = first_.engine->SnapshotOf({"prod"});
    EXPECT_TRUE(snapshot.ok() && snapshot->destinations.front().delivers);
    if (::testing::Test::HasFailure()) break;
  }
  held_.Release();
  leaving.join();
  EXPECT_TRUE(settled);
  EXPECT_EQ(second_.StateOf(item), ItemState::kDelivered);
}

TEST_F(HandBackTest, NothingOfTheShardIsWrittenAfterIt) {
  ASSERT_TRUE(first_.engine->Deliver().ok());
  first_.Append();
  ASSERT_TRUE(first_.engine->Drain(minutes(1)));
  first_.engine->StopSending();
  first_.WaitForRest();
  ASSERT_TRUE(first_.engine->StopDelivering().ok());
  const int writes = first_.store.writes();
  first_.Append();
  first_.Append();
  ASSERT_TRUE(first_.engine->Barrier().ok());
  EXPECT_EQ(first_.store.writes(), writes);
}

TEST_F(HandBackTest, ItAcceptsAsBeforeAndItsItemsAreDeliveredOnce) {
  ASSERT_TRUE(first_.engine->Deliver().ok());
  std::set<Seq> seqs;
  for (int round = 0; round < 3; ++round) {
    Member& owner = round % 2 == 0 ? first_ : second_;
    Member& other = round % 2 == 0 ? second_ : first_;
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(seqs.insert(owner.Append()).second);
      EXPECT_TRUE(seqs.insert(other.Append()).second);
    }
    owner.engine->StopSending();
    owner.WaitForRest();
    ASSERT_TRUE(owner.engine->StopDelivering().ok());
    ASSERT_TRUE(other.engine->Deliver().ok());
    ASSERT_TRUE(other.engine->Drain(minutes(1)));
    ASSERT_TRUE(other.engine->Barrier().ok());
    for (const Seq seq : seqs) {
      EXPECT_EQ(owner.StateOf(seq), ItemState::kDelivered);
    }
  }
  EXPECT_EQ(seqs.size(), 30u);
}

TEST_F(HandBackTest, OneThatIsTakenBackGoesOn) {
  ASSERT_TRUE(first_.engine->Deliver().ok());
  first_.engine->StopSending();
  first_.WaitForRest();
  first_.Append();
  EXPECT_EQ(first_.heap.requests(), 0);
  first_.engine->GoOnSending();
  EXPECT_FALSE(first_.engine->IsAtRest());
  EXPECT_TRUE(first_.engine->Drain(minutes(1)));
  EXPECT_EQ(first_.heap.requests(), 1);
}

TEST_F(HandBackTest, QuestionsGetTheirAnswersMeanwhile) {
  ASSERT_TRUE(first_.engine->Deliver().ok());
  std::atomic<bool> over{false};
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::thread questions([&] {
    while (!over) {
      ++asked;
      first_.engine->RequestFlows([&](const EngineFlows&) { ++answered; });
      EXPECT_TRUE(first_.engine->SnapshotOf({"prod"}).ok());
    }
  });
  for (int round = 0; round < 20; ++round) {
    first_.engine->StopSending();
    while (!first_.engine->IsAtRest()) std::this_thread::yield();
    ASSERT_TRUE(first_.engine->StopDelivering().ok());
    ASSERT_TRUE(first_.engine->Deliver().ok());
  }
  over = true;
  questions.join();
  ASSERT_TRUE(first_.engine->SnapshotOf({"prod"}).ok());
  EXPECT_EQ(answered, asked);
}

TEST_F(HandBackTest, ATakeOverThatCannotReadBeginsAgain) {
  Engine& engine = *first_.engine;
  std::vector<Seq> items = {first_.Append()};
  int failed = 0;
  while (true) {
    first_.store.reads_left = failed + 1;
    const absl::Status taken = engine.Deliver();
    if (taken.ok()) break;
    ASSERT_TRUE(absl::IsUnavailable(taken)) << taken;
    ASSERT_FALSE(engine.delivers());
    items.push_back(first_.Append());
    ++failed;
  }
  EXPECT_GE(failed, 3);
  first_.store.reads_left = 0;
  items.push_back(first_.Append());
  for (const Seq item : items) {
    while (first_.StateOf(item) != ItemState::kDelivered) {
    }
  }
}

}  // namespace
}  // namespace heapsync
